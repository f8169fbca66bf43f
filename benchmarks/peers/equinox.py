"""Equinox: a model that is a pytree, an `eqx.filter_jit` step, a Python loop."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from peers import Peer, jitted_step, networks
from peers.problem import Problem, channels_first

KEY = jax.random.key(0)  # of parameters that are then replaced by those given


def make(problem: Problem) -> Peer:
    problem = channels_first(problem)
    model = eqx.nn.Sequential(list(map(layer_of, problem.network.layers, problem.parameters)))
    optimizer = getattr(optax, problem.optimizer)(problem.learning_rate)
    opt_state = optimizer.init(eqx.filter(model, eqx.is_array))

    def loss_of(model, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()

    @eqx.filter_jit(donate="all-except-first")
    def train_step(batch, model, opt_state):
        loss, grads = eqx.filter_value_and_grad(loss_of)(model, *batch)
        updates, opt_state = optimizer.update(grads, opt_state, model)
        return eqx.apply_updates(model, updates), opt_state, loss

    def step(x, y):
        nonlocal model, opt_state
        model, opt_state, loss = train_step((x, y), model, opt_state)
        return loss

    return jitted_step.over_batches(
        step, problem, lambda x, y: train_step.lower((x, y), model, opt_state).compile().compiled
    )


class Rowwise(eqx.Module):
    """A layer of one vector, for each row of a sequence too."""

    layer: eqx.Module

    def __call__(self, x, *, key=None):
        return self.layer(x) if x.ndim == 1 else jax.vmap(self.layer)(x)


class LSTM(eqx.Module):
    cell: eqx.nn.LSTMCell

    def __call__(self, x, *, key=None):
        zeros = jnp.zeros(self.cell.hidden_size)
        (h, _), _ = jax.lax.scan(lambda hc, row: (self.cell(row, hc), None), (zeros, zeros), x)
        return h


class Positions(eqx.Module):
    embedding: jax.Array

    def __call__(self, x, *, key=None):
        return x + self.embedding


class Block(eqx.Module):
    norm_1: Rowwise
    attention: eqx.nn.MultiheadAttention
    norm_2: Rowwise
    expand: Rowwise
    contract: Rowwise

    def __call__(self, x, *, key=None):
        y = self.norm_1(x)
        h = x + self.attention(y, y, y)
        return h + self.contract(jax.nn.relu(self.expand(self.norm_2(h))))


def layer_of(layer: networks.Layer, given: dict[str, Any]) -> eqx.Module:
    match layer:
        case networks.Dense():
            return linear(given)
        case networks.Conv(inputs, outputs):
            conv = eqx.nn.Conv2d(inputs, outputs, 3, padding=1, key=KEY)
            kernel = given["kernel"].transpose(3, 2, 0, 1)
            return filled(conv, weight=kernel, bias=given["bias"].reshape(-1, 1, 1))
        case networks.Flatten():
            return eqx.nn.Lambda(jnp.ravel)
        case networks.LSTM(inputs, outputs):
            cell = eqx.nn.LSTMCell(inputs, outputs, key=KEY)
            kernels = {"weight_ih": given["kernel"].T, "weight_hh": given["recurrent_kernel"].T}
            return LSTM(filled(cell, **kernels, bias=given["bias"]))
        case networks.Positions():
            return Positions(jnp.array(given["embedding"]))
        case networks.Block(features, heads):
            return block(features, heads, given)
        case "sigmoid":
            return eqx.nn.Lambda(jax.nn.sigmoid)
        case "relu":
            return eqx.nn.Lambda(jax.nn.relu)
        case "max pool":
            return eqx.nn.MaxPool2d(2, 2)
        case "mean":
            return eqx.nn.Lambda(lambda x: x.mean(axis=0))


def block(features: int, heads: int, given: dict[str, Any]) -> Block:
    def norm(name: str) -> Rowwise:
        layer = eqx.nn.LayerNorm(features, eps=networks.NORM_EPSILON)
        return Rowwise(filled(layer, weight=given[name]["scale"], bias=given[name]["bias"]))

    biases = {f"use_{name}_bias": True for name in ("query", "key", "value", "output")}
    attention = eqx.nn.MultiheadAttention(heads, features, **biases, key=KEY)
    projections = {name: given[name] for name in ("query", "key", "value")}
    projections["output"] = given["out"]
    attention = eqx.tree_at(
        lambda attention: [getattr(attention, f"{name}_proj") for name in projections],
        attention,
        [linear(part).layer for part in projections.values()],
    )
    mlp = linear(given["expand"]), linear(given["contract"])
    return Block(norm("norm_1"), attention, norm("norm_2"), *mlp)


def linear(given: dict[str, Any]) -> Rowwise:
    layer = eqx.nn.Linear(*given["kernel"].shape, key=KEY)
    return Rowwise(filled(layer, weight=given["kernel"].T, bias=given["bias"]))


def filled(layer: eqx.Module, **arrays: Any) -> eqx.Module:
    return eqx.tree_at(
        lambda layer: [getattr(layer, name) for name in arrays],
        layer,
        list(map(jnp.array, arrays.values())),
    )
