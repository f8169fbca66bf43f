"""Functions in which one line makes NaN or infinity: the line that is marked.

Each case is a function that returns the sick function and its arguments. What it is decorated with
is what `nan_origin` has to say, beside the line.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from funcnn import losses, nn, optim, train

X = jnp.array([1.0, 4.0, 0.0, 2.0])
BIG = jnp.array([1.0, 100.0, 3.0, 2.0])
ROWS = jnp.array([[2.0, 1.0], [0.0, 0.0]])


def filled(model, shape):
    """Parameters without random numbers: kernels of ones, biases of zeros."""
    params, _ = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, float(leaf.ndim - 1)), params)


class Case(NamedTuple):
    make: Callable[[], tuple]
    where: str
    primitive: str
    expected: dict[str, Any]
    hint: str

    def line(self, jitted: bool) -> int:
        """The number of the line that is marked.

        What JAX has traced into a jitted function of a rule knows the line that called it.
        """
        lines, first = inspect.getsourcelines(self.make)
        marks = ["# HERE, JITTED", "# HERE"] if jitted else ["# HERE"]
        found = [
            i for mark in marks for i, line in enumerate(lines) if line.rstrip().endswith(mark)
        ]
        return first + found[0]


SICK: dict[str, Case] = {}


def sick(where: str, primitive: str, hint: str, **expected: Any):
    def enter(make):
        SICK[make.__name__] = Case(make, where, primitive, expected, hint)
        return make

    return enter


forward = functools.partial(sick, "forward")
gradient = functools.partial(sick, "gradient")


# --- forward ------------------------------------------------------------------------------------


@forward("log", "negative number", index=(2,))
def log_of_a_negative_number():
    def fun(x):
        y = x - 0.5
        z = jnp.log(y)  # HERE
        return jnp.sum(z * 2)

    return fun, X


@forward("log", "eps", index=())
def log_of_zero():
    def fun(x):
        p = jnp.min(x)
        return -jnp.log(p)  # HERE

    return fun, X


@forward("sqrt", "below 0", index=(1, 0))
def sqrt_of_a_negative_variance_under_vmap():
    def one(x):
        variance = x - 1
        return jnp.sqrt(variance).sum()  # HERE

    return lambda x: jax.vmap(one)(x).sum(), jnp.array([[2.0, 1.0], [0.0, 2.0]])


@forward("div", "divisor", index=(2,))
def division_by_zero():
    def fun(x):
        ratio = 3 / x  # HERE
        return jnp.mean(ratio)

    return fun, X


@forward("div", "0.0/0.0", index=(2,))
def zero_by_zero():
    def fun(x):
        y = x * 2
        return jnp.mean(y / x)  # HERE

    return fun, X


@forward("exp", "overflows", index=(1,), became=True)
def softmax_by_hand():
    def fun(x):
        e = jnp.exp(x)  # HERE
        return (e / e.sum())[1]

    return fun, BIG


@forward("exp", "logsumexp", became=True)
def overflow_that_becomes_nan_elsewhere():
    def fun(x):
        e = jnp.exp(x)  # HERE
        first = e[0] + 1
        return first + jnp.sum(e - e)

    return fun, BIG


@forward("pow", "no real power", index=(0,))
def root_of_a_negative_number():
    def fun(x):
        return jnp.sum((x - 3.5) ** 0.5)  # HERE

    return fun, X


@forward("integer_pow", "0 to a negative power", index=(2,))
def zero_to_a_negative_power():
    def fun(x):
        return jnp.sum(lax.integer_pow(x, -2))  # HERE

    return fun, X


@forward("acos", "rounding", index=(0,))
def arccos_outside():
    def fun(x):
        cosine = x * 1.1
        return jnp.arccos(cosine).sum()  # HERE

    return fun, jnp.array([1.0, 0.5, 0.0, 0.2])


@forward(
    "sub",
    "Every entry of this row is -inf",
    function="softmax",
    source="a constant",
    inside=("attend",),
)
def a_row_masked_whole():
    @jax.jit
    def attend(scores, mask):
        scores = jnp.where(mask, scores, -jnp.inf)
        return jax.nn.softmax(scores)  # HERE

    def fun(x):
        return attend(x, jnp.array([[True, False], [False, False]])).sum()

    return fun, jnp.ones((2, 2))


@forward("mul", "float16", index=(1,))
def float16_overflows():
    def fun(x):
        y = x.astype(jnp.float16)
        return jnp.sum(y * 1000)  # HERE

    return fun, BIG


@forward("convert_element_type", "float16", index=(1,))
def too_large_for_float16():
    def fun(x):
        return x.astype(jnp.float16).sum()  # HERE

    return fun, BIG * 1e3


@forward("sqrt", "below 0", inside=("scan[6]",))
def in_a_scan():
    def fun(x):
        def step(c, x):
            y = jnp.sqrt(x)  # HERE
            return c + y, c

        return lax.scan(step, 0.0, x)[0]

    return fun, jnp.arange(6.0, -4.0, -1.0) - 0.5


@forward("log", "negative number", inside=("scan[1]",), index=(1,))
def in_a_reversed_scan_under_vmap():
    def one(x):
        def step(c, x):
            c = jnp.log(c)  # HERE
            return c, x + c

        return lax.scan(step, x[0], x, reverse=True)[1].sum()

    return lambda x: jax.vmap(one)(x).sum(), jnp.array([[1e6, 2, 3, 4], [1.5, 2, 3, 4]])


@forward("div", "divisor", inside=("while[3]",))
def in_a_while_loop():
    def fun(x):
        body = lambda c: (c[0] + 1, c[1] + 1 / (3 - c[0]))  # HERE
        return lax.while_loop(lambda c: c[0] < 6, body, (0.0, x))[1]

    return fun, 1.0


@forward("exp", "overflows", inside=("scan[4]",))
def in_a_fori_loop():
    def fun(x):
        return lax.fori_loop(0, 99, lambda i, c: jnp.exp(c), x)  # HERE

    return fun, 0.0


@forward("log", "eps", inside=("outer", "inner"), scope=("part",))
def in_nested_jits():
    @jax.jit
    def inner(x):
        return jnp.log(x)  # HERE

    @jax.jit
    def outer(x):
        with jax.named_scope("part"):
            return inner(x * x) + 1

    return lambda x: outer(x[2]), X


@forward("log", "negative number", inside=("branch 1",))
def in_a_branch():
    def fun(x):
        return lax.cond(x > 0, lambda x: jnp.log(-x), lambda x: x, x)  # HERE

    return fun, 3.0


@forward("log", "negative number", inside=("checkpoint", "branch 0", "scan[1]"), scope=("head",))
def in_all_of_them():
    def body(c, x):
        with jax.named_scope("head"):
            return c + jnp.log(x), None  # HERE

    loop = lambda x: lax.scan(body, 0.0, x)[0]
    fun = jax.checkpoint(lambda x: lax.cond(x[0] > 5, jnp.sum, loop, x))
    return fun, jnp.array([1.0, -1.0])


@forward("div", "divisor", scope=("[1]",))
def in_a_layer():
    def scaled(x):
        return x / jnp.abs(x).sum(axis=-1, keepdims=True)  # HERE

    model = nn.serial(nn.dense(3), scaled, jax.nn.relu)
    params = filled(model, (2, 2))
    return lambda params: model(params, jnp.zeros((2, 2))).sum(), params


@forward("log", "eps", inside=("f",))
def in_the_code_behind_a_rule():
    @jax.custom_jvp
    def f(x):
        return jnp.log(x) * 2  # HERE

    f.defjvp(lambda p, t: (f(*p), t[0]))
    return lambda x: f(x).sum(), X


@forward("cholesky", "positive definite")
def cholesky_of_an_indefinite_matrix():
    def fun(x):
        return jnp.linalg.cholesky(x).sum()  # HERE

    return fun, jnp.array([[1.0, 2.0], [2.0, 1.0]])


@forward("reduce_sum", "grown beyond")
def a_sum_overflows():
    def fun(x):
        return jnp.sum(x)  # HERE

    return fun, BIG * 3.3e36


@forward("gather", "index outside")
def an_index_out_of_bounds():
    def fun(x):
        picked = jnp.take(x, jnp.array([0, 9]))  # HERE
        return picked.sum()

    return fun, X


@forward("gather", "index outside")
def a_label_outside_the_classes():
    loss = jax.jit(losses.softmax_cross_entropy_with_integer_labels)

    def fun(x, labels):
        each = loss(x, labels)  # HERE
        return each.mean()

    return fun, jnp.ones((2, 3)), jnp.array([1, 3])


@forward("log", "Every entry of this row is -inf", function="logsumexp")
def logsumexp_of_nothing():
    def fun(x):
        masked = jnp.where(jnp.arange(4) < 0, x, -jnp.inf)
        return jax.nn.logsumexp(masked)  # HERE

    return fun, X


@sick("given", None, "a number of its own", source="a constant")
def a_constant_that_is_chosen():
    def fun(x):
        y = jnp.where(x == 0, jnp.nan, x)  # HERE
        return jnp.sum(y * 2)

    return fun, X


@forward("sqrt", "below 0")
def past_what_is_masked():
    """What comes first is nan too, and nothing depends on it."""

    def fun(x):
        masked = jnp.where(x > 0, jnp.log(x), 0.0)
        infinite = jnp.maximum(jnp.min(1 / x), -jnp.inf)
        return masked.sum() + jnp.sqrt(x[0] - infinite - 5)  # HERE

    return fun, X


@forward("div", "divisor", index=(3,))
def past_a_nan_beside_it():
    """The operand is nan too, elsewhere."""

    def fun(x):
        y = jnp.log(x - 1)
        inverse = 1 / y  # HERE
        return inverse[3]

    return fun, X


@forward("div", "divisor")
def in_a_train_step():
    def update(g, state, params=None):
        return jax.tree.map(lambda g: -g / jnp.linalg.norm(g), g), state  # HERE

    def loss(params, state, batch, key):
        return jnp.sum(params * batch), (state, {})

    optimizer = optim.GradientTransformation(lambda params: (), update)
    state = train.TrainState(jnp.ones(2), (), (), jax.random.key(0), jnp.int32(0))
    return train.make_step(loss, optimizer), state, jnp.zeros(2)


@forward("div", "0.0/0.0", index=(2,))
def in_a_gradient_that_the_function_takes():
    """The function differentiates: what goes wrong there is part of its forward pass."""

    def fun(x):
        y = jnp.where(x > 0, jnp.log(x), 0.0)  # HERE
        return y.sum()

    return lambda x: jax.grad(fun)(x).sum(), X


# --- in the gradient ----------------------------------------------------------------------------


@gradient("log", "double where", index=(2,), mask=True)
def where_log():
    def fun(x):
        safe = x > 0
        y = jnp.log(x)  # HERE
        return jnp.where(safe, y, 0.0).sum()

    return fun, X


@gradient("sqrt", "infinite", index=(2,))
def root_at_zero():
    def fun(x):
        return jnp.sqrt(x).sum()  # HERE

    return fun, X


@gradient("sqrt", "norm has no gradient at 0", function="norm")
def norm_at_zero():
    def fun(x):
        y = x * 2
        return jnp.linalg.norm(y)  # HERE

    return fun, jnp.zeros(4)


@gradient("sqrt", "infinite", index=(1,), became=True)
def root_of_a_square_under_vmap():
    def one(x):
        squares = jnp.sum(x**2)
        return jnp.sqrt(squares)  # HERE

    return lambda x: jax.vmap(one)(x).sum(), ROWS


@gradient("sqrt", "standard deviation", function="std")
def std_of_constant_data():
    def fun(x):
        return jnp.std(x) + x[0]  # HERE

    return fun, jnp.ones(4)


@gradient("exp", "overflows", mask=True, index=(1,))
def masked_overflow():
    def fun(x):
        y = jnp.where(x < 50, jnp.exp(x), x)  # HERE
        return y.sum()

    return fun, BIG


@gradient("exp", "overflows", became=True)
def masked_overflow_that_becomes_nan_elsewhere():
    def fun(x, scale):
        e = jnp.exp(x)  # HERE
        return jnp.where(x < 50, e * scale, x).sum()

    return lambda scale: fun(BIG, scale), 2.0


@gradient("div", "divide by", index=(2,), mask=True)
def masked_division():
    def fun(x):
        inverse = 1 / x  # HERE
        return jnp.where(x == 0, 0.0, inverse).sum()

    return fun, X


@gradient("pow", "slope is infinite", index=(2,))
def power_below_one_at_zero():
    def fun(x):
        return jnp.sum(x**0.5)  # HERE

    return lambda x: fun(x) * 2, X


@gradient("acos", "end of its domain")
def arccos_at_the_end():
    def fun(x):
        return jnp.arccos(x)  # HERE

    return fun, 1.0


@gradient("asin", "end of its domain")
def arcsin_at_the_end():
    def fun(x):
        return 2 * jnp.arcsin(-x)  # HERE

    return fun, 1.0


@gradient("atan2", "no gradient", index=(2,))
def angle_of_nothing():
    def fun(x):
        angle = jnp.arctan2(x, x * 2)  # HERE
        return angle.sum()

    return fun, X


@gradient("eigh", "two are equal")
def equal_eigenvalues():
    def fun(x):
        _, vectors = jnp.linalg.eigh(x)  # HERE
        return jnp.sum(vectors[0] * jnp.arange(2.0))

    return fun, jnp.eye(2)


@gradient("div", "eps to the divisor", rule="inverse", index=(2,))
def in_the_backward_rule_of_a_custom_vjp():
    @jax.custom_vjp
    def inverse(x):
        return x * 2

    def back(x, g):
        return (g / x,)  # HERE

    inverse.defvjp(lambda x: (inverse(x), x), back)
    return lambda x: inverse(x).sum(), X


@gradient("div", "eps to the divisor", rule="inverse")
def in_the_forward_rule_of_a_custom_vjp():
    @jax.custom_vjp
    def inverse(x):
        return x * 2

    def there(x):
        residual = 1 / x  # HERE
        return x * 2, residual

    inverse.defvjp(there, lambda residual, g: (g * residual,))
    fun = lambda x: inverse(x).sum()  # HERE, JITTED
    return fun, X


@gradient("log", "eps", rule="f")
def in_the_rule_of_a_custom_jvp():
    @jax.custom_jvp
    def f(x):
        return x * 2

    @f.defjvp
    def rule(primals, tangents):
        slope = jnp.log(primals[0])  # HERE
        return f(primals[0]), tangents[0] * slope

    fun = lambda x: f(x).sum()  # HERE, JITTED
    return fun, X


@gradient("sqrt", "infinite", inside=("scan[3]",))
def in_a_scan_backwards():
    def fun(w, x):
        def step(c, x):
            c = c * w
            y = jnp.sqrt(x * w)  # HERE
            return c + y, y

        return lax.scan(step, 1.0, x)[0]

    return fun, 1.5, jnp.array([3.0, 2.0, 1.0, 0.0, 1.0, 2.0])


@gradient("sqrt", "infinite", inside=("scan[90]",))
def far_back_in_a_long_scan():
    def fun(x):
        def step(c, i):
            y = jnp.sqrt(jnp.abs(c - i))  # HERE
            return c * 1.0, y

        return lax.scan(step, x, jnp.arange(99.0))[1].sum()

    return fun, 90.0


@gradient("log", "double where", inside=("scan[1]",), index=(1,), mask=True)
def in_a_reversed_scan_under_vmap_backwards():
    def one(x):
        def step(c, x):
            y = jnp.log(x)  # HERE
            return c + jnp.where(x > 0, y, 0.0), None

        return lax.scan(step, 0.0, x, reverse=True)[0]

    return lambda x: jax.vmap(one)(x).sum(), jnp.array([[1.0, 2.0, 3.0], [1.0, 0.0, 2.0]])


@gradient("sqrt", "infinite", inside=("while[2]",))
def in_a_while_loop_backwards():
    def fun(x):
        def body(c):
            i, y = c
            return i + 1, y + jnp.sqrt(jnp.abs(x - i))  # HERE

        return lax.while_loop(lambda c: c[0] < 4, body, (0.0, x))[1]

    return fun, 2.0


@gradient("sqrt", "norm has no gradient", inside=("checkpoint", "branch 1", "inner"))
def in_all_of_them_backwards():
    @jax.jit
    def inner(x):
        return jnp.linalg.norm(x)  # HERE

    fun = jax.checkpoint(lambda x: lax.cond(x[0] == 0, inner, jnp.sum, x * 3))
    return fun, jnp.zeros(2)


@gradient("sqrt", "norm has no gradient at 0", scope=("[1]",))
def in_a_layer_backwards():
    def unit(x):
        norm = jnp.linalg.norm(x, axis=-1, keepdims=True)  # HERE
        return x / jnp.maximum(norm, 1e-6)

    model = nn.serial(nn.dense(2), unit)
    x = jnp.zeros((2, 2))
    params = filled(model, (2, 2))
    return jax.jit(lambda params: jnp.sum(model(params, x) * jnp.arange(2.0))), params


@gradient("mul", "float16", index=(0,))
def a_gradient_overflows_float16():
    def fun(x):
        y = jnp.sin(x * jnp.float16(1000))  # HERE
        return jnp.sum(y * jnp.float16(500))

    return fun, jnp.array([0.01, 0.02], jnp.float16)


@gradient("sqrt", "infinite", index=(2,))
def of_a_tree_of_arrays():
    def fun(x):
        return {"root": jnp.sqrt(x), "plain": x}  # HERE

    return fun, X


@gradient("sqrt", "infinite")
def in_a_loss_of_funcnn():
    def distance(outputs, y):
        return jnp.sqrt(losses.squared_error(outputs, y))  # HERE

    model = nn.dense(1)
    loss = train.supervised(model, distance)
    x, y = jnp.ones((2, 1)), jnp.ones((2, 1))
    return lambda params: loss(params, (), (x, y), None)[0], filled(model, (2, 1))


# --- what happens to it later is not to blame ----------------------------------------------------


@forward("log", "negative number", index=(0,))
def a_nan_divided_by_zero():
    def fun(a, b):
        y = jnp.log(a - 1)  # HERE
        z = y / b
        return jnp.sum(z)

    return fun, jnp.zeros(2), jnp.zeros(2)


@forward("div", "0.0/0.0")
def zero_by_zero_divided_again():
    def fun(a, b):
        y = a / b  # HERE
        return y / b

    return fun, jnp.zeros(()), jnp.zeros(())


@forward("log", "negative number", index=(0,))
def a_nan_that_chooses_a_constant():
    def fun(x):
        y = jnp.log(x - 2)  # HERE
        return jnp.where(jnp.isnan(y).sum() > 0, jnp.nan, jnp.sum(x))

    return fun, X


@forward("log", "negative number", index=(0,))
def a_nan_that_median_sees():
    def fun(x):
        y = jnp.log(x - 2)  # HERE
        return jnp.median(y * 2)

    return fun, X


@forward("log", "negative number", inside=("scan[2]",))
def a_nan_in_a_loop_that_chooses_a_branch():
    def fun(x):
        def step(fine, x):
            y = jnp.log(x)  # HERE
            return fine & ~jnp.isnan(y), None

        fine, _ = lax.scan(step, jnp.bool_(True), x)
        return lax.cond(fine, lambda x: x[0], lambda x: jnp.nan, x)

    return fun, X - jnp.array([0, 0, 1, 0])


@forward("exp", "overflows", index=(1,))
def an_infinity_that_chooses_a_constant():
    def fun(x):
        y = jnp.exp(x)  # HERE
        return jnp.where(jnp.isinf(y), jnp.nan, y).sum()

    return fun, BIG


@sick("given", None, "The matrix is singular", source="a constant")
def logdet_of_a_singular_matrix():
    def fun(x):
        return jnp.linalg.slogdet(x)[1]  # HERE

    return fun, jnp.ones((4, 4))


@gradient("sqrt", "The product with 0 masks the value", index=(2,), mask=True)
def masked_by_a_product():
    def fun(x):
        y = jnp.sqrt(x)  # HERE
        return jnp.sum(y * 0)

    return fun, X


@gradient("log", "The maximum masks the value", index=(2,), mask=True)
def masked_by_a_maximum():
    def fun(x):
        y = jnp.log(x)  # HERE
        return jnp.sum(jnp.maximum(y, 0.0))

    return fun, X


@gradient("log", "slope of xlogy", rule="xlogy")
def in_a_rule_of_jax():
    def fun(x):
        return jax.scipy.special.xlogy(x, x)  # HERE

    return fun, 0.0
