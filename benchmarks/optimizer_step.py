"""Parameters a second of Adam's step on ten million parameters, float32, gradients given.

python benchmarks/optimizer_step.py
"""

import argparse
import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from table import table
from timing import alternating, repeated

LAYERS, WIDTH = 10, 1000
RATE = 1e-3
CHECKED_STEPS = 3

Step = Callable[[], Any]  # takes a step, waits for its end


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    print(in_words(measured(parser.parse_args().rounds)))


def measured(rounds: int, layers: int = LAYERS) -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def arrays() -> list[dict[str, np.ndarray]]:
        shapes = {"kernel": (WIDTH, WIDTH), "bias": (WIDTH,)}
        return [
            {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
            for _ in range(layers)
        ]

    params, grads = arrays(), arrays()
    steps = {}
    for name, make in MAKES.items():
        try:
            steps[name], parameters = make(params, grads)
        except ModuleNotFoundError as error:
            print(f"{name}: left out, no module named {error.name}")
            continue
        for _ in range(CHECKED_STEPS):
            steps[name]()
        # with equal gradients each time, Adam moves each parameter by the rate, up to epsilon
        expected = params[0]["bias"] - CHECKED_STEPS * RATE * np.sign(grads[0]["bias"])
        np.testing.assert_allclose(parameters(), expected, atol=1e-5, err_msg=name)
    runs = {name: repeated(step) for name, step in steps.items()}
    times = alternating({name: run for name, (run, _) in runs.items()}, rounds)
    return {
        "parameters": layers * (WIDTH + 1) * WIDTH,
        "steps_s": {name: [time / runs[name][1] for time in times[name]] for name in times},
    }


def in_jax(params: Any, grads: Any, start: Callable, update: Callable) -> tuple[Step, Callable]:
    """`start(params)` gives a state, `update(params, state, grads)` new parameters and state.

    What is donated comes in the order of the results, as JAX pairs them in that order: otherwise
    each array is copied, and the step takes four times as long.
    """
    params, grads = jax.tree.map(jnp.array, (params, grads))
    state = start(params)
    jitted = jax.jit(update, donate_argnums=(0, 1))

    def step() -> None:
        nonlocal params, state
        params, state = jax.block_until_ready(jitted(params, state, grads))

    return step, lambda: params[0]["bias"]


def funcnn(params: Any, grads: Any) -> tuple[Step, Callable]:
    from funcnn import optim

    return transformation(params, grads, optim.adam(RATE), optim.apply_updates)


def optax(params: Any, grads: Any) -> tuple[Step, Callable]:
    """What Flax NNX, Equinox and Haiku use."""
    import optax

    return transformation(params, grads, optax.adam(RATE), optax.apply_updates)


def transformation(
    params: Any, grads: Any, optimizer: Any, apply_updates: Callable
) -> tuple[Step, Callable]:
    def update(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return apply_updates(params, updates), state

    return in_jax(params, grads, optimizer.init, update)


def handwritten(params: Any, grads: Any) -> tuple[Step, Callable]:
    from peers import handwritten_jax

    def update(params, moments, grads):
        return handwritten_jax.adam(params, moments, grads, RATE)

    return in_jax(params, grads, handwritten_jax.adam_moments, update)


def stax(params: Any, grads: Any) -> tuple[Step, Callable]:
    """jax.example_libraries.optimizers, which goes with stax: the parameters are in its state."""
    from jax.example_libraries import optimizers

    init, update, parameters = optimizers.adam(RATE)
    grads, state = jax.tree.map(jnp.array, grads), init(jax.tree.map(jnp.array, params))
    jitted, count = jax.jit(update, donate_argnums=2), 0

    def step() -> None:
        nonlocal state, count
        state, count = jax.block_until_ready(jitted(count, grads, state)), count + 1

    return step, lambda: parameters(state)[0]["bias"]


def torch(params: Any, grads: Any, **options: bool) -> tuple[Step, Callable]:
    import torch
    from peers.pytorch import DEVICE, use_all_cores

    use_all_cores()
    tensors = [torch.tensor(a, device=DEVICE, requires_grad=True) for a in jax.tree.leaves(params)]
    for tensor, grad in zip(tensors, jax.tree.leaves(grads), strict=True):
        tensor.grad = torch.tensor(grad, device=DEVICE)
    optimizer = torch.optim.Adam(tensors, RATE, **options)

    def step() -> None:
        optimizer.step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return step, lambda: tensors[0].detach().cpu().numpy()  # leaves are sorted: a bias


MAKES = {
    "funcnn": funcnn,
    "jax": handwritten,
    "optax": optax,
    "stax": stax,
    "torch": torch,
    "torch fused": functools.partial(torch, fused=True),
}


def in_words(result: dict[str, Any]) -> str:
    rows = []
    for name, times in result["steps_s"].items():
        median = statistics.median(times)
        rows.append([name, f"{1e3 * median:.2f}", f"{result['parameters'] / median / 1e9:.2f}"])
    return table(["adam", "step ms", "10⁹ parameters/s"], rows, left=("adam",))


if __name__ == "__main__":
    main()
