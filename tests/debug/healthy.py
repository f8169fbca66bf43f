"""Functions with NaN or infinities on their way, or close to them, that come to no harm."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from funcnn import losses, nn, train

from .sick import filled

X = jnp.array([1.0, 4.0, 0.0, 2.0])
W = jnp.array([[0.5, -1.0], [1.5, 0.25], [-0.5, 1.0], [0.1, 0.2]])
SYMMETRIC = jnp.array([[3.0, 1.0], [1.0, 2.0]])

HEALTHY: dict[str, Callable[[], tuple]] = {}


def healthy(make: Callable[[], tuple]) -> Callable[[], tuple]:
    HEALTHY[make.__name__] = make
    return make


def plain(name: str, fun: Callable, *args) -> None:
    HEALTHY[name] = lambda: (fun, *args)


def double_where(x):
    ok = x > 0
    return jnp.sum(jnp.where(ok, jnp.log(jnp.where(ok, x, 1.0)), 0.0))


def attention(q, k):
    scores = jnp.where(jnp.tril(jnp.ones((4, 4), bool)), q @ k.T, -jnp.inf)
    return jnp.sum(jax.nn.softmax(scores, axis=-1) @ q)


def running_minimum(x):
    return lax.scan(lambda c, x: (jnp.minimum(c, x), c), jnp.inf, x)[0]


def best_of(x):
    def body(c):
        i, best = c
        return i + 1, jnp.maximum(best, jnp.sin(x[i]))

    return lax.while_loop(lambda c: c[0] < 3, body, (0, -jnp.inf))[1]


def newton(x):
    return lax.fori_loop(0, 4, lambda i, c: c - (c * c - x.sum()) / (2 * c), 3.0)


def norm_or_zero(x):
    squares = jnp.sum(x**2)
    there = squares > 0
    return jnp.where(there, jnp.sqrt(jnp.where(there, squares, 1.0)), 0.0)


@jax.custom_vjp
def safe_root(x):
    return jnp.sqrt(x)


safe_root.defvjp(
    lambda x: (jnp.sqrt(x), x), lambda x, g: (jnp.where(x > 0, g / jnp.maximum(x, 0.1), 0.0),)
)


def masked_loss(x):
    """What is nan there, nothing depends on."""
    return jnp.where(jnp.isnan(jnp.log(x - 1)), 0.0, x).sum()


def infinite_constant(x):
    return jnp.sum(jnp.minimum(x / jnp.inf, x))


def dropped(x):
    return jnp.sum(lax.stop_gradient(jnp.sqrt(x)) * x)


def pooled(x):
    windows = (1, 2, 2, 1), (1, 2, 2, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, *windows, "SAME").sum()


def noise(x, key):
    return jnp.sum(x * jax.random.normal(key, x.shape) + jax.random.uniform(key, x.shape))


def scaled_float16(x):
    return (jnp.sum(x.astype(jnp.float16) * 2) * 128).astype(jnp.float32) / 128


def unused(x):
    jnp.log(x - 9)
    return x.sum()


plain("double_where", double_where, X)
plain("double_where_jitted", jax.jit(double_where), X)
plain("attention_masked_by_infinity", attention, W, W)
plain("logsumexp_with_infinities", lambda x: jax.nn.logsumexp(jnp.append(x, -jnp.inf)), X)
plain("a_mask_as_an_argument", lambda x, m: jax.nn.softmax(x + m)[1], X, jnp.log(X > 0))
plain("minus_infinity_comes_out_as_given", lambda x: jnp.where(x > 1, x, -jnp.inf), X)
plain("sorted_infinities", lambda x: jnp.sort(x), jnp.array([jnp.inf, 1.0, -jnp.inf]))
plain("relu6_of_infinity", lambda x: jax.nn.relu6(x).sum(), jnp.array([1.0, jnp.inf]))
plain("running_minimum_from_infinity", running_minimum, X)
plain("while_from_minus_infinity", best_of, X)
plain("newton_in_a_loop", newton, X)
plain("norm_or_zero", norm_or_zero, jnp.zeros(3))
plain("a_rule_that_is_safe_at_zero", lambda x: safe_root(x).sum(), X)
plain("a_rule_that_is_safe_at_zero_in_scan", lambda x: lax.map(safe_root, x).sum(), X)
plain("nan_masked_by_isnan", masked_loss, jnp.array([2.0, 3.0]))
plain("nan_that_chooses_infinity", lambda x: jnp.where(x > jnp.log(-x), x, -jnp.inf), X + 1)
plain("divided_by_infinity", infinite_constant, X)
plain("root_behind_stop_gradient", dropped, X)
plain("max_pooling_padded_by_infinity", pooled, jnp.arange(9.0).reshape(1, 3, 3, 1))
plain("random_numbers", noise, X, jax.random.key(0))
plain("float16_with_a_scaled_loss", scaled_float16, X)
plain("nan_that_is_not_used", unused, X)
plain("top_k", lambda x: lax.top_k(x, 2)[0].sum(), X)
plain("integers", lambda x, i: x[i].sum() + i.sum(), X, jnp.array([0, 2]))
plain("integers_alone", lambda i: i // 2, jnp.array([0, 2]))
plain("complex", lambda x: jnp.abs(jnp.fft.fft(x) + 1j).sum(), X)
plain("eigenvalues", lambda a: jnp.linalg.eigh(a)[1][0].sum(), SYMMETRIC)
plain("cholesky_and_solve", lambda a: jnp.linalg.solve(a, jnp.linalg.cholesky(a)).sum(), SYMMETRIC)
plain("logdet", lambda a: jnp.linalg.slogdet(a)[1], SYMMETRIC)
plain(
    "sigmoid_and_softplus_far_out",
    lambda x: jnp.sum(jax.nn.sigmoid(x) * jax.nn.softplus(x)),
    X * 100,
)
plain("log_softmax_far_out", lambda x: jax.nn.log_softmax(x)[0], X * 1e4)
plain(
    "logsumexp_of_a_masked_row",
    lambda x: jnp.sum(jnp.exp(jax.nn.logsumexp(jnp.where(x > 9, x, -jnp.inf), keepdims=True))),
    X,
)
plain("sinc_at_zero", lambda x: jnp.sinc(x).sum(), X)
plain("xlogy_at_zero", lambda x: jax.scipy.special.xlogy(lax.stop_gradient(x), x + 1).sum(), X)
plain("cumulative", lambda x: jnp.cumprod(x).sum() + jnp.prod(x), X)
plain("checkpoint_and_branch", jax.checkpoint(lambda x: lax.cond(x[2] > 0, jnp.log, jnp.sin, x)), X)
plain("vmapped_branch", lambda x: jax.vmap(lambda x: lax.cond(x > 1, jnp.cos, jnp.sin, x))(x), X)
plain("keyword_arguments", functools.partial(lambda x, *, scale: x / scale, scale=2.0), X)
plain("python_numbers", lambda x, n: x**n, 2.0, 3)


@healthy
def a_small_cnn():
    flat = lambda x: x.reshape(len(x), -1)
    model = nn.serial(
        nn.conv(2, (3, 3)), jax.nn.relu, nn.max_pool((2, 2), (2, 2)), flat, nn.dense(3)
    )
    x, y = jnp.zeros((2, 4, 4, 1)), jnp.array([0, 2])
    loss = train.supervised(model, losses.softmax_cross_entropy)
    batch = x, jax.nn.one_hot(y, 3)
    return lambda params: loss(params, (), batch, None)[0], filled(model, x.shape)


@healthy
def an_lstm():
    model, x = nn.lstm(2), jnp.ones((1, 3, 2))
    return lambda params: jnp.sum(model(params, x)), filled(model, x.shape)


@healthy
def normalized_constant_data():
    model, x = nn.serial(nn.layer_norm(), nn.dense(1)), jnp.ones((2, 3))
    return lambda params, x: model(params, x).sum(), filled(model, x.shape), x
