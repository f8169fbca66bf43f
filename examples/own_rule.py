"""Tells funcnn derivatives: of a primitive of one's own, and another one for a primitive of JAX's.

    python examples/own_rule.py

First a primitive, the length of a vector in the plane, with the rule that differentiates it: right
at the origin and for lengths whose squares are too large for float32. Then `round`, whose
derivative is zero, so that nothing that is rounded can be learned: with the rule of another
function it can (the straight-through estimator, Bengio, Léonard and Courville 2013,
arXiv:1308.3432). Needs: pip install 'funcnn[examples]'
"""

import functools

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import tables
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import mlir

import funcnn
from funcnn import testing
from funcnn.autodiff import elementwise, temporary_rules

# --- a primitive of one's own: what it computes, its type, how it is compiled, its derivative


def length(x: jax.Array, y: jax.Array) -> jax.Array:
    """sqrt(x² + y²), elementwise, for x and y of one shape and dtype."""
    return length_p.bind(x, y)


def scaled(x, y):
    """Divides by the larger one before it squares."""
    larger = lax.max(lax.abs(x), lax.abs(y))
    divisor = jnp.where(larger == 0, 1, larger)
    return larger * lax.sqrt((x / divisor) ** 2 + (y / divisor) ** 2)


length_p = Primitive("length")
length_p.def_impl(jax.jit(scaled))
length_p.def_abstract_eval(lambda x, y: x)
mlir.register_lowering(length_p, mlir.lower_fun(scaled, multiple_results=False))

# The names of a function's arguments say what it needs: `x` the operand, `out` the length. It gives
# the local derivative, which is multiplied by the upstream gradient. At the origin it is 0.
part = lambda x, out: jnp.where(out == 0, 0, x / jnp.where(out == 0, 1, out))
elementwise(length_p, "x y", x=part, y=lambda y, out: part(y, out))


def root_of_squares(x, y):
    return jnp.sqrt(x**2 + y**2)


def show_length() -> None:
    print("the gradient of the length of (x, y)\n")
    points = [(3.0, 4.0), (0.0, 0.0), (3e30, 4e30)]
    rows = []
    for x, y in points:
        plain = jax.grad(root_of_squares, (0, 1))(x, y)
        ours = funcnn.grad(length, (0, 1))(jnp.float32(x), jnp.float32(y))
        rows.append([f"({x:g}, {y:g})", *(f"({dx:.3g}, {dy:.3g})" for dx, dy in (plain, ours))])
    print(tables.table(["at", "jax.grad of the formula", "funcnn.grad of the primitive"], rows))
    # JAX has no rule for it: ours is held against central differences
    x, y = np.float32([0.3, -1.2, 2.0]), np.float32([0.4, 0.5, -1.5])
    report = testing.check_grads(length, (x, y), against=("differences",))
    print(f"\nagainst central differences: {report}\n")


# --- another rule for one of JAX's primitives


def loss(weights, x, y):
    """Of a linear model whose weights are rounded to eighths."""
    return jnp.mean((x @ (lax.round(8 * weights) / 8) - y) ** 2)


@functools.partial(jax.jit, static_argnums=(0, 3))
def descend(gradient, x, y, steps):
    """The loss after each step of gradient descent from weights of zero."""

    def step(weights, _):
        value, slope = gradient(weights, x, y)
        return weights - 0.1 * slope, value

    return lax.scan(step, jnp.zeros(x.shape[1]), None, length=steps)


def show_rounding(seed: int, steps: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(200, 8)).astype(np.float32)
    y = x @ np.float32([0.75, -0.5, 1.25, 0.0, -1.0, 0.375, 0.625, -0.25])
    curves = {}
    _, curves["zero, its own"] = descend(funcnn.value_and_grad(loss), x, y, steps)
    with temporary_rules():
        elementwise(lax.round_p, "x", x=1)
        weights, curves["straight through"] = descend(funcnn.value_and_grad(loss), x, y, steps)
    print("the loss of a linear model with rounded weights, by the derivative of `round`\n")
    shown = sorted({0, 1, 5, steps // 2, steps - 1})
    rows = [[str(i), *(f"{losses[i]:.5f}" for losses in curves.values())] for i in shown]
    print(tables.table(["step", *curves], rows))
    print(f"\nweights found: {np.asarray(lax.round(8 * weights) / 8).tolist()}")
    return {name: np.asarray(losses) for name, losses in curves.items()}


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="20 steps instead of 40")
    args = parser.parse_args()
    if not args.no_picture:
        import pictures  # here, so that nothing is computed in vain where matplotlib is missing

    show_length()
    curves = show_rounding(args.seed, 20 if args.quick else 40)
    if not args.no_picture:
        print()
        title = "Learning weights that are rounded to eighths"
        section = pictures.Section(pictures.CURVES, functools.partial(draw, curves))
        pictures.save(args.out / "own_rule.png", title, [section])


def draw(curves, part) -> None:
    ax = part.subplots()
    part.subplots_adjust(left=0.085, right=0.965, bottom=0.17, top=0.92)
    for (name, losses), color in zip(curves.items(), ("#D55E00", "#0072B2"), strict=True):
        ax.plot(losses, color=color, lw=2)
        ax.annotate(
            f"derivative of round: {name}",
            (len(losses) * 0.5, losses[len(losses) // 2]),
            xytext=(0, 18),
            textcoords="offset points",
            va="top",
            color=color,
        )
    ax.set(xlabel="step of gradient descent", ylabel="mean squared error")
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(y=0.15)


if __name__ == "__main__":
    main()
