"""Leaves by path: globs, functions, partitions, and what is said to a pattern without a leaf."""

from collections import OrderedDict
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

import funcnn
from funcnn import nn, paths


class Pair(NamedTuple):
    left: object
    right: object


TREE = {"body": ({"kernel": 1, "bias": 2}, (), {"kernel": 3}), "head": Pair(4, OrderedDict(b=5))}


def chosen(*patterns):
    selected = paths.select(TREE, *patterns)
    return sorted(jax.tree.leaves(selected))


@pytest.mark.parametrize(
    ("patterns", "leaves"),
    [
        (["body/0/kernel"], [1]),
        (["body/*/kernel"], [1, 3]),
        (["**/kernel"], [1, 3]),
        (["body/**"], [1, 2, 3]),
        (["**"], [1, 2, 3, 4, 5]),
        (["**/b*"], [2, 5]),
        (["head/left", "head/right/b"], [4, 5]),
        (["**/0/**"], [1, 2]),
        (["body/**/bias"], [2]),
        ([lambda path, leaf: leaf > 3], [4, 5]),
        ([lambda path, leaf: path.endswith("kernel"), "head/left"], [1, 3, 4]),
        ([], []),
    ],
)
def test_patterns(patterns, leaves):
    assert chosen(*patterns) == leaves
    assert sum(jax.tree.leaves(paths.mask(TREE, *patterns))) == len(leaves)
    parts = paths.partition(TREE, *patterns)
    assert sorted(jax.tree.leaves(parts)) == [1, 2, 3, 4, 5]
    assert paths.combine(*parts) == TREE


def test_names_are_the_paths():
    assert paths.names(TREE) == [
        "body/0/bias",
        "body/0/kernel",
        "body/2/kernel",
        "head/left",
        "head/right/b",
    ]
    assert paths.names(3.0) == [""]


def test_a_pattern_without_a_leaf():
    with pytest.raises(ValueError, match=r"no leaf matches 'bdy/\*\*': the paths are body/0/bias,"):
        paths.mask(TREE, "**/kernel", "bdy/**")
    with pytest.raises(ValueError, match=r"no leaf matches the function .*: the paths are body"):
        paths.mask(TREE, lambda path, leaf: False)
    with pytest.raises(ValueError, match=r"none: the tree has no leaves"):
        paths.select((), "**")
    with pytest.raises(ValueError, match=r"t19 and 5 more"):
        paths.mask({f"t{i:02}": i for i in range(25)}, "t")
    with pytest.raises(TypeError, match=r"expected a path pattern like .* got 3"):
        paths.mask(TREE, 3)


def test_combine_wants_each_leaf_once():
    with pytest.raises(ValueError, match=r"the leaf head/left is in several"):
        paths.combine(TREE, paths.select(TREE, "head/left"))
    assert paths.combine({"a": None}, {"a": None}) == {"a": None}


def test_freezing():
    """No gradient of what is frozen, and none of its arrays in what is traced as an input."""
    model = nn.serial(body=nn.dense(3), act=jnp.tanh, head=nn.dense(1))
    x = jnp.ones((2, 4))
    params, _ = model.init(jax.random.key(0), x)
    head, body = paths.partition(params, "head/**")

    def loss(head):
        return jnp.sum(model(paths.combine(head, body), x) ** 2)

    gradient = jax.jit(funcnn.grad(loss))(head)
    assert paths.names(gradient) == ["head/bias", "head/kernel"]
    whole = funcnn.grad(lambda params: jnp.sum(model(params, x) ** 2))(params)
    for ours, all_of_it in zip(
        jax.tree.leaves(gradient), jax.tree.leaves(whole["head"]), strict=True
    ):
        assert jnp.allclose(ours, all_of_it)
