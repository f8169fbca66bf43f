"""funcnn: one compiled program an epoch."""

from typing import Any

import jax
import jax.numpy as jnp

from funcnn import losses, nn, optim, train
from peers import Peer, networks
from peers.problem import Problem

OPTIMIZERS = {"sgd": optim.sgd, "adam": optim.adam}


def make(problem: Problem) -> Peer:
    step, epoch, state, data, batch = parts(problem)
    jitted = jax.jit(step, donate_argnums=0)

    def run() -> float:
        nonlocal state
        state, metrics = epoch(state, data)
        return float(metrics["loss"])

    def one_step() -> float:
        nonlocal state
        state, metrics = jitted(state, batch)
        return float(metrics["loss"])

    return Peer(run, one_step, lambda: jitted.lower(state, batch).compile())


def parts(problem: Problem) -> tuple[Any, Any, train.TrainState, Any, Any]:
    """The step, the epoch, the first state, all the data and the first minibatch."""
    layers = problem.network.layers
    model = nn.serial(*map(layer_of, layers))
    loss = train.supervised(model, losses.softmax_cross_entropy_with_integer_labels)
    optimizer = OPTIMIZERS[problem.optimizer](problem.learning_rate)
    step = train.make_step(loss, optimizer)
    epoch = train.make_epoch(step, problem.batch_size, drop_remainder=True)
    data = jnp.asarray(problem.images), jnp.asarray(problem.labels)
    batch = jax.tree.map(lambda leaf: leaf[: problem.batch_size], data)
    state = train.init(jax.random.key(problem.seed), model, optimizer, batch[0])
    given = map(params_of, layers, problem.parameters)
    state = state._replace(params=jax.tree.map(jnp.array, tuple(given)))
    return step, epoch, state, data, batch


def layer_of(layer: networks.Layer) -> Any:
    match layer:
        case networks.Dense(_, outputs):
            return nn.dense(outputs)
        case networks.Conv(_, outputs):
            return nn.conv(outputs, (3, 3))
        case networks.Flatten():
            return nn.flatten
        case networks.LSTM(_, outputs):
            return nn.lstm(outputs, returns="last")
        case networks.Positions(length, _):
            return nn.learned_positions(length)
        case networks.Block(features, heads):
            return nn.transformer_block(features, heads, activation=jax.nn.relu)
        case "sigmoid":
            return jax.nn.sigmoid
        case "relu":
            return jax.nn.relu
        case "max pool":
            return nn.max_pool((2, 2), strides=2)
        case "mean":
            return nn.as_layer(lambda x: x.mean(axis=1))


def params_of(layer: networks.Layer, given: dict[str, Any]) -> Any:
    """As the model's init gives them."""
    if not isinstance(layer, networks.Block):
        return given or ()
    heads = layer.heads, layer.features // layer.heads
    attention = {
        name: {entry: array.reshape(*array.shape[:-1], *heads) for entry, array in part.items()}
        for name, part in given.items()
        if name in ("query", "key", "value")
    }
    out = {**given["out"], "kernel": given["out"]["kernel"].reshape(*heads, layer.features)}
    mlp = {name: given[name] for name in ("expand", "contract")}
    return {
        **{name: given[name] for name in ("norm_1", "norm_2")},
        **dict.fromkeys(("dropout", "h", "y"), ()),
        "attention": {**attention, "out": out},
        "mlp": {**mlp, "activation": (), "dropout": ()},
    }
