"""The transforms (`vjp`, `grad`, `jacrev`, ...) give what JAX's give, and refuse the same."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import funcnn

from .agreement import assert_agree
from .modes import traced

RTOL = 2e-6


def both(run):
    """`run` with our transforms and with JAX's: the results agree."""
    ours, theirs = run(funcnn), run(jax)
    assert_agree(ours, theirs, RTOL)
    return ours


def both_compiled(run, *args):
    """As `both`, and both in one program: eagerly each operation is compiled alone."""
    ours, theirs = jax.jit(lambda *args: (run(funcnn, *args), run(jax, *args)))(*args)
    assert_agree(ours, theirs, RTOL)


def product(x, y, z):
    return jnp.sum(x * jnp.sin(y)) * z


ARRAYS = (jnp.array([0.3, -1.2]), jnp.array([[0.4], [2.0]]), jnp.array(1.7))


# --- signatures


@pytest.mark.parametrize(
    "argnums", [0, 2, -1, -3, (0,), (0, 2), (2, 0), (-1, 0), [1, 2], np.int32(1)]
)
@pytest.mark.parametrize("transform", ["grad", "value_and_grad"])
def test_argnums(transform, argnums):
    if isinstance(argnums, np.integer):  # JAX takes Python ints alone
        ours = getattr(funcnn, transform)(product, argnums)(*ARRAYS)
        assert_agree(ours, getattr(jax, transform)(product, int(argnums))(*ARRAYS), RTOL)
    else:
        both(lambda m: getattr(m, transform)(product, argnums)(*ARRAYS))


def test_argnums_by_name_and_a_tuple_of_one():
    assert isinstance(funcnn.grad(product, argnums=(1,))(*ARRAYS), tuple)
    both(lambda m: m.grad(fun=product, argnums=1)(*ARRAYS))


@pytest.mark.parametrize("transform", ["grad", "value_and_grad"])
def test_keyword_arguments_pass_through(transform):
    def f(x, *, power, scale=2.0):
        return scale * jnp.sum(x**power)

    both(lambda m: getattr(m, transform)(f)(ARRAYS[0], power=3))
    both(lambda m: getattr(m, transform)(f)(ARRAYS[0], power=2, scale=ARRAYS[2]))


def test_other_arguments_may_be_anything():
    def f(x, name, options):
        return jnp.sum(x) * options[name]

    both(lambda m: m.grad(f)(ARRAYS[0], "a", {"a": 3}))


def test_has_aux():
    def f(x, y):
        return jnp.sum(x * y), {"product": x * y, "name": "f", "none": None, "shape": x.shape}

    (value, aux), gradient = funcnn.value_and_grad(f, has_aux=True)(ARRAYS[0], ARRAYS[2])
    (value_, aux_), gradient_ = jax.value_and_grad(f, has_aux=True)(ARRAYS[0], ARRAYS[2])
    assert aux["name"] == "f"
    assert aux["none"] is None
    assert aux["shape"] == (2,)
    assert_agree((value, aux["product"], gradient), (value_, aux_["product"], gradient_), RTOL)
    gradient, aux = funcnn.grad(f, has_aux=True)(ARRAYS[0], ARRAYS[2])
    assert_agree((gradient, aux["product"]), (gradient_, aux_["product"]), RTOL)


def test_aux_is_not_traced():
    """What comes back as aux are values: they can be used after."""
    _, aux = funcnn.grad(lambda x: (jnp.sum(x), [x, 2 * x, jnp.sum(x) > 0]), has_aux=True)(
        ARRAYS[0]
    )
    assert [type(a).__name__ for a in jax.tree.map(lambda a: a + 0, aux)] == ["ArrayImpl"] * 3


def test_aux_of_vjp():
    def f(x):
        return (jnp.sin(x), x[:1]), {"cos": jnp.cos(x)}

    def run(m):
        out, pullback, aux = m.vjp(f, ARRAYS[0], has_aux=True)
        return out, pullback((ARRAYS[0], ARRAYS[0][:1])), aux

    both(run)


def test_aux_as_a_list_of_two():
    both(lambda m: m.value_and_grad(lambda x: [jnp.sum(x), x], has_aux=True)(ARRAYS[0]))


@pytest.mark.parametrize("fun", [jnp.sin, lambda z: z**3 / (z - 2), lambda z: jnp.conj(z) * 1j])
def test_holomorphic(fun):
    both(lambda m: m.grad(fun, holomorphic=True)(jnp.complex64(0.3 + 0.7j)))
    both(lambda m: m.value_and_grad(fun, holomorphic=True)(0.3 + 0.7j))


def test_complex_inputs_of_a_real_function():
    z = jnp.array([1 + 2j, -0.5j])
    both(lambda m: m.grad(lambda z: jnp.sum(jnp.abs(jnp.exp(z)) ** 2))(z))
    both(lambda m: m.grad(lambda z: jnp.real(jnp.sum(z * jnp.conj(z[::-1]))))(z))


def test_allow_int():
    params = {"x": 1.5, "n": 3, "flag": True, "table": jnp.arange(4)}

    def f(p):
        return jnp.where(p["flag"], p["x"] ** 2, 0.0) * p["table"][p["n"]]

    gradient = both(lambda m: m.grad(f, allow_int=True)(params))
    assert gradient["table"].dtype == jax.dtypes.float0
    assert gradient["table"].shape == (4,)


def test_integers_of_vjp():
    both(lambda m: m.vjp(lambda x, n: x * n, jnp.array([1.0, 2.0]), 3)[1](jnp.ones(2)))


def test_a_python_integer_stays_one():
    both(lambda m: m.vjp(lambda x, n: sum(x for _ in range(n)), ARRAYS[0], 3)[1](jnp.ones(2)))
    both(lambda m: m.grad(lambda x, n: jnp.sum(x.reshape(n, -1)), (0, 1), allow_int=True)(X2, 1))


def test_keys_of_vjp():
    """A random key is neither inexact nor a number; its cotangent is float0."""
    f = lambda key, x: x * jax.random.normal(key, (2,))
    both(lambda m: m.vjp(f, jax.random.key(3), ARRAYS[0])[1](jnp.ones(2)))
    both(lambda m: m.vjp(lambda x: (x, jax.random.key(0)), 1.0)[1]((1.0, _float0())))


def _float0(*shape):
    return np.zeros(shape, jax.dtypes.float0)


def test_integer_outputs_of_vjp():
    def f(x):
        return {"value": jnp.max(x), "place": jnp.argmax(x)}

    for place in (_float0(), 1, jnp.array(1.0), True):  # any zero will do, as in JAX
        both(lambda m, p=place: m.vjp(f, ARRAYS[0])[1]({"value": jnp.array(2.0), "place": p}))


# --- containers


class Params(NamedTuple):
    kernel: jax.Array
    bias: jax.Array | None


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Model:
    layers: list


PARAMS = {
    "dict": {"w": ARRAYS[1], "b": ARRAYS[0]},
    "tuple": (ARRAYS[0], (ARRAYS[1],)),
    "list": [ARRAYS[0], [ARRAYS[1], ARRAYS[2]]],
    "namedtuple": Params(ARRAYS[1], ARRAYS[0]),
    "dataclass": Model([ARRAYS[0], {"deep": ARRAYS[1]}]),
    "none": Params(ARRAYS[1], None),
    "empty": {"w": ARRAYS[1], "nothing": (), "none": None, "zero": jnp.zeros((0, 3))},
    "unused": {"w": ARRAYS[1], "unused": ARRAYS[0]},
}


def first_leaf_squared(params):
    leaves = jax.tree.leaves(params)
    return sum(jnp.sum(leaf**3) for leaf in leaves[: max(1, len(leaves) - 1)])


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS)
def test_params_of_every_container(params):
    both(lambda m: m.value_and_grad(first_leaf_squared)(params))
    both(lambda m: jax.jit(m.value_and_grad(first_leaf_squared))(params))
    both(lambda m: m.vjp(lambda p: jax.tree.map(jnp.sin, p), params)[1](params))


def test_an_unused_argument_has_a_gradient_of_zeros():
    both(lambda m: m.grad(lambda x, y: jnp.sum(x), argnums=(0, 1))(*ARRAYS[:2]))
    both(lambda m: m.vjp(lambda x, y: 2.0, *ARRAYS[:2])[1](1.0))


def test_no_arguments():
    both(lambda m: m.vjp(lambda: jnp.ones(2))[1](jnp.ones(2)))


# --- Jacobians and Hessians


def of_trees(d):
    return {"p": d["x"] * d["n"], "q": (jnp.sum(d["x"] ** 2), [jnp.tanh(d["m"]) @ d["m"].T])}


TREE = {"x": ARRAYS[0], "m": ARRAYS[1], "n": 2.0, "none": None}
X2 = jnp.array([[0.2, 0.5], [1.1, -0.3]])
WITH_AND_WITHOUT = ((jnp.sin, (0.5,)), (jnp.sin, (X2,)), (product, ARRAYS), (of_trees, (TREE,)))


@pytest.mark.parametrize("transform", ["jacrev", "hessian"])
@pytest.mark.parametrize(("fun", "args"), WITH_AND_WITHOUT, ids=["0-d", "2-d", "scalar", "trees"])
def test_jacobians(transform, fun, args):
    in_funcnn, in_jax = (getattr(m, transform)(fun) for m in (funcnn, jax))
    compiled, theirs = jax.jit(lambda *args: (in_funcnn(*args), in_jax(*args)))(*args)
    weak_types = lambda tree: jax.tree.map(lambda a: a.weak_type, tree)
    for ours in (in_funcnn(*args), compiled):
        assert_agree(ours, theirs, RTOL)
        assert weak_types(ours) == weak_types(theirs)


@pytest.mark.parametrize(
    ("transform", "argnums"),
    [("jacrev", 1), ("jacrev", [0, 1]), ("hessian", -1), ("hessian", (0,)), ("hessian", (2, 0))],
)
def test_jacobians_argnums(transform, argnums):
    def f(x, y, z, *, scale):
        return {"a": jnp.outer(x, y) * scale, "b": z**2 * jnp.sum(y)}

    both(lambda m: getattr(m, transform)(f, argnums)(*ARRAYS, scale=2.0))


@pytest.mark.parametrize("transform", ["jacrev", "hessian"])
def test_jacobians_with_aux(transform):
    f = lambda x: (x**3, {"cos": jnp.cos(x), "none": None})
    both(lambda m: getattr(m, transform)(f, has_aux=True)(ARRAYS[0]))


@pytest.mark.parametrize("transform", ["jacrev", "hessian"])
def test_jacobians_of_holomorphic_functions(transform):
    z = jnp.array([1 + 2j, -0.5j])
    both(lambda m: getattr(m, transform)(lambda z: z**3 / (z - 2), holomorphic=True)(z))


def test_jacobians_of_empty_arrays():
    both_compiled(
        lambda m: [
            (
                m.jacrev(jnp.sin)(jnp.ones(shape)),
                m.jacrev(lambda x: jnp.sum(x) * jnp.ones(2))(jnp.ones(shape)),
                m.jacrev(lambda x, shape=shape: jnp.ones(shape) * x)(1.0),
            )
            for shape in [(0,), (2, 0)]
        ]
    )
    both(lambda m: m.jacrev(jnp.sin)(jnp.ones((2, 0))))
    assert funcnn.jacrev(lambda x: ())(1.0) == ()


def test_jacobians_of_mixed_types():
    """Blocks of a Jacobian have the dtype of the input, those of a Hessian that of the first."""
    d = {"h": jnp.array([0.5, 2.0], jnp.float16), "f": ARRAYS[2], "n": 2.0}
    fun = lambda d: {"a": jnp.sum(d["h"] ** 2) * d["f"] * d["n"] ** 2, "b": d["h"] * d["n"]}
    both_compiled(
        lambda m, d: (
            m.jacrev(fun)(d),
            m.hessian(fun)(d),
            m.jacrev(lambda z: jnp.abs(z) ** 2)(jnp.array([1 + 2j, -0.5j])),
        ),
        d,
    )
    both(lambda m: m.jacrev(fun)(d))
    both(lambda m: m.jacrev(lambda x, n: x * n, (0, 1), allow_int=True)(ARRAYS[0], 3))
    key = jax.random.key(0)
    f = lambda x, key: x * jax.random.normal(key, (2,))
    of_key = funcnn.jacrev(f, (0, 1), allow_int=True)(ARRAYS[0], key)[1]
    assert of_key.dtype == jax.dtypes.float0
    assert of_key.shape == (2,)


def test_jacobians_nest_and_map():
    both_compiled(
        lambda m, x: {
            "three": m.jacrev(m.jacrev(m.jacrev(lambda x: x**3 * x[0])))(x),
            "mapped": jax.vmap(m.hessian(lambda x: jnp.sum(jnp.sin(x)) ** 2))(X2),
            "in jacfwd": jax.jacfwd(m.jacrev(lambda x: jnp.sin(x) * x[0]))(x),
            "of jacfwd": m.jacrev(jax.jacfwd(lambda x: jnp.sin(x) * x[0]))(x),
            "in grad": m.grad(lambda x: jnp.sum(m.hessian(lambda x: x[0] ** 3 * x[1])(x)))(x),
        },
        ARRAYS[0],
    )
    both(lambda m: jax.vmap(m.hessian(lambda x: jnp.sum(jnp.sin(x)) ** 2))(X2))


@pytest.mark.parametrize("transform", ["jacrev", "hessian"])
@pytest.mark.parametrize(
    ("fun", "args", "options", "words"),
    [
        (lambda x: jnp.argmax(x), (ARRAYS[0],), {}, r"real-valued outputs.*got int32"),
        (lambda x: {"a": x > 0}, (1.0,), {}, r"real-valued outputs.*got bool"),
        (lambda x: x * 1j, (1.0,), {}, r"real-valued outputs.*got complex64.*holomorphic"),
        (lambda x: x, (1,), {}, r"real- or complex-valued inputs.*int32"),
        (lambda x: "a", (1.0,), {}, r"'a'.*str"),
        (lambda x: x, ("a",), {}, r"'a'.*str"),
        (lambda x: x, (1.0,), {"argnums": 1}, r"argnums=1 requires at least 2.*only 1"),
        (lambda x: x, (1.0,), {"argnums": "x"}, r"argnums.*'x'"),
        (lambda x: x, (1.0,), {"has_aux": True}, r"two-element"),
        (lambda x: x, (1.0,), {"holomorphic": True}, r"inputs with complex dtype.*float32"),
        (jnp.real, (1j,), {"holomorphic": True}, r"outputs with complex dtype.*float32"),
    ],
)
def test_what_jacobians_refuse(transform, fun, args, options, words):
    with pytest.raises(TypeError, match=words):
        getattr(funcnn, transform)(fun, **options)(*args)


def forward_over_reverse(fun, primals, tangents):
    return jax.jvp(jax.grad(fun, tuple(range(len(primals)))), primals, tangents)[1]


def scalar_of_trees(d, z):
    return jnp.sum(d["x"][0] * jnp.sin(d["m"])) * z + jnp.sum(d["x"] ** 3) * d["n"] * z**2


@pytest.mark.parametrize(
    ("fun", "primals", "tangents"),
    [
        (lambda x: jnp.sum(jnp.sin(x) * x[0]), (X2,), (X2 + 1,)),
        (product, ARRAYS, tuple(a * a + 1 for a in ARRAYS)),
        (scalar_of_trees, (TREE, 0.7), (jax.tree.map(lambda a: a - 1.5, TREE), 2.0)),
        (lambda x: 3.0 * jnp.sum(x), (X2,), (X2,)),
        (lambda x: jnp.sum(x**2), (jnp.ones((0, 2)),), (jnp.ones((0, 2)),)),
        (lambda z: jnp.sum(jnp.abs(jnp.sin(z)) ** 2), (X2 + 1j,), (X2 * 1j - 2,)),
    ],
    ids=["array", "several", "trees", "linear", "empty", "complex"],
)
def test_hessian_vector_products(fun, primals, tangents):
    expected = forward_over_reverse(fun, primals, tangents)
    assert_agree(funcnn.hvp(fun, primals, tangents), expected, RTOL)
    assert_agree(jax.jit(functools.partial(funcnn.hvp, fun))(primals, tangents), expected, RTOL)


def test_a_hessian_vector_product_is_the_hessian_times_the_vector():
    fun = lambda x: jnp.sum(jnp.tanh(X2 @ x) * x[0])
    x, v = ARRAYS[0], jnp.array([2.0, -0.7])
    product = jnp.tensordot(funcnn.hessian(fun)(x), v, 1)
    assert_agree(funcnn.hvp(fun, (x,), (v,))[0], product, 1e-5)
    with_aux = funcnn.hvp(lambda x: (fun(x), x[0]), [x], [v], has_aux=True)
    assert_agree(with_aux, ((product,), x[0]), 1e-5)
    _, pullback = funcnn.vjp(funcnn.grad(fun), x)
    assert_agree(jax.vmap(pullback)(jnp.eye(2))[0], funcnn.hessian(fun)(x), 1e-5)


@pytest.mark.parametrize(
    ("primals", "tangents", "words"),
    [
        (ARRAYS[0], (ARRAYS[0],), r"primals must be a tuple.*write \(x,\)"),
        ((ARRAYS[0],), ARRAYS[0], r"tangents must be a tuple"),
        ((ARRAYS[0],), ARRAYS[:2], r"structure"),
        ((ARRAYS[0],), ({"a": ARRAYS[0]},), r"structure"),
        ((ARRAYS[0],), (jnp.ones(3),), r"tangents\[0\].*float32\[2\].*float32\[3\]"),
        ((ARRAYS[0],), (jnp.ones(2, jnp.float16),), r"float32\[2\].*float16\[2\]"),
        ((ARRAYS[0],), ("a",), r"'a'.*str"),
        ((1,), (1,), r"real- or complex-valued inputs.*int32"),
    ],
)
def test_what_hvp_refuses(primals, tangents, words):
    with pytest.raises(TypeError, match=words):
        funcnn.hvp(lambda x: jnp.sum(x), primals, tangents)


# --- numbers that are not arrays


@pytest.mark.parametrize(
    "fun",
    [
        jnp.square,
        jnp.abs,
        jnp.log1p,
        jnp.tanh,
        jnp.log2,
        jax.nn.relu,
        jax.nn.softplus,
        lambda x: x,
        lambda x: 3.0,
        lambda x: np.float32(3.0),
        lambda x: x**2,
        lambda x: x**-1.5,
        lambda x: 2.0**x,
        lambda x: x**x,
        lambda x: x % 0.7,
        lambda x: jnp.maximum(x, 0.2),
        lambda x: jnp.clip(x, 0.2, 1.0),
        lambda x: jnp.where(x > 0, x, x * x),
    ],
)
@pytest.mark.parametrize("x", [0.5, np.float32(0.5), np.array(0.5), np.float16(0.5)])
def test_python_and_numpy_scalars(fun, x):
    both(lambda m: m.value_and_grad(fun)(x))
    both(lambda m: traced(m.grad(m.grad(fun)))(x))


def test_numpy_arrays():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    both(lambda m: m.value_and_grad(lambda x: jnp.sum(jnp.tanh(x @ x) * jnp.square(x)))(x))
    both(lambda m: m.vjp(lambda x: x @ x, x)[1](np.ones((2, 2))))


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: x * 2.0,
        lambda x: jnp.sin(x).astype(jnp.float32),
        lambda x: x * jnp.float32(2),
        lambda x: jnp.float32(2) + 0 * x,
        lambda x: 3.0,
        lambda x: x,
        lambda x: jax.nn.relu(x),
        lambda x: jax.jit(lambda x: jnp.sin(x) * x)(x),
    ],
)
def test_weak_types(fun):
    """A gradient promotes as its input does: that of a Python number stays weak."""
    for x in (0.5, jnp.float32(0.5)):
        ours, theirs = funcnn.grad(fun)(x), jax.grad(fun)(x)
        assert ours.weak_type == theirs.weak_type
        # so it does not widen what is narrow
        assert (ours * jnp.bfloat16(1)).dtype == (theirs * jnp.bfloat16(1)).dtype


@pytest.mark.parametrize("fun", [lambda x: x, lambda x: x + 1, lambda x: 2.0, lambda x: x * x])
def test_gradients_are_arrays_of_jax(fun):
    for x in (0.5, jnp.float32(0.5), np.float32(0.5)):
        assert isinstance(funcnn.grad(fun)(x), jax.Array)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_gradients_keep_the_dtype(dtype):
    x = jnp.arange(6, dtype=dtype).reshape(2, 3) / 6
    gradient = funcnn.grad(lambda x: jnp.sum(jax.nn.softmax(x @ x.T) ** 2))(x)
    assert gradient.dtype == dtype
    wide = jax.grad(lambda x: jnp.sum(jax.nn.softmax(x @ x.T) ** 2))(x.astype(jnp.float32))
    np.testing.assert_allclose(
        gradient.astype(np.float32), wide, atol=8 * float(jnp.finfo(dtype).eps)
    )


# --- the pullback


def long_program(x):
    """More equations than are opened while tracing."""
    for _ in range(5):
        x = jnp.sin(x) * x + jnp.cos(x)
    return x


def mixed(x):
    return jax.jit(long_program)(x) * jnp.sin(x), jnp.sum(x)


X = jnp.array([0.2, 0.5, 1.1])
G = (jnp.array([1.0, -2.0, 0.5]), jnp.array(0.3))


def test_the_pullback_may_be_called_twice():
    def run(m):
        _, pullback = m.vjp(mixed, X)
        return pullback(G), pullback(jax.tree.map(lambda g: 2 * g, G)), pullback(G)

    first, second, third = both(run)
    assert_agree(third, first, 0.0)
    assert_agree(second, jax.tree.map(lambda g: 2 * g, first), 1e-6)


def test_the_pullback_comes_out_of_jit():
    both(lambda m: jax.jit(lambda x: m.vjp(mixed, x))(X)[1](G))


def test_the_pullback_goes_into_jit():
    both(lambda m: jax.jit(lambda pullback, g: pullback(g))(m.vjp(mixed, X)[1], G))
    both(lambda m: jax.jit(m.vjp(mixed, X)[1])(G))


def test_the_pullback_is_a_pytree_of_its_residuals():
    _, pullback = funcnn.vjp(jnp.sin, X)
    [residual] = jax.tree.leaves(pullback)
    assert_agree(residual, X, 0.0)


def test_the_pullback_holds_nothing_twice_and_nothing_unreached():
    def f(x):
        jnp.log(x)  # no cotangent comes here
        return jnp.sin(x) * jnp.exp(x)

    _, pullback = funcnn.vjp(f, X)
    kept = jax.tree.leaves(pullback)  # x for sin, both factors; exp keeps its output, a factor
    assert len(kept) == 3
    for expected in (X, jnp.sin(X), jnp.exp(X)):
        assert sum(bool(jnp.array_equal(expected, residual)) for residual in kept) == 1


def test_the_pullback_comes_out_of_and_goes_into_vmap():
    gs = jax.tree.map(lambda g: jnp.stack([g, -g, 3 * g]), G)
    both(lambda m: jax.vmap(m.vjp(mixed, X)[1])(gs))
    xs = jnp.stack([X, X + 1, 2 * X])
    both(lambda m: jax.vmap(lambda p, g: p(g))(jax.vmap(lambda x: m.vjp(mixed, x)[1])(xs), gs))


def test_the_pullback_is_linear_and_can_be_differentiated():
    square = lambda g: jnp.sum(g**2)
    both(lambda m: m.grad(lambda g: square(m.vjp(mixed, X)[1](g)[0]))(G))
    both(lambda m: jax.grad(lambda g: square(m.vjp(mixed, X)[1](g)[0]))(G))


# --- as in the lectures: one program, whatever the wrapper


def test_names_and_signatures_are_kept():
    def loss(params, x):
        """What is minimized."""
        return jnp.sum(params * x)

    for transform in (funcnn.grad, funcnn.value_and_grad):
        assert transform(loss).__name__ == "loss"
        jitted = jax.jit(transform(loss), static_argnames="x")
        assert_agree(jitted(2.0, x=3), transform(loss)(2.0, 3), RTOL)


@pytest.mark.parametrize(
    "fun",
    [functools.partial(product, *ARRAYS[:2]), jax.jit(functools.partial(product, *ARRAYS[:2]))],
    ids=["partial", "jitted partial"],
)
def test_callables_of_other_kinds(fun):
    both(lambda m: m.grad(fun)(ARRAYS[2]))


def test_an_object_with_a_call():
    class Loss:
        def __call__(self, x):
            return jnp.sum(x**2)

    both(lambda m: m.value_and_grad(Loss())(ARRAYS[0]))


# --- bad input


def identity(x):
    return x


@pytest.mark.parametrize("transform", ["grad", "value_and_grad"])
@pytest.mark.parametrize(
    ("fun", "args", "options", "error", "words"),
    [
        (identity, (X,), {}, TypeError, r"scalar-output functions.*shape: \(3,\)"),
        (lambda x: jnp.argmax(x), (X,), {}, TypeError, r"real-valued outputs.*got int32"),
        (lambda x: 1, (X,), {}, TypeError, r"real-valued outputs.*got int32"),
        (lambda x: x > 0, (1.0,), {}, TypeError, r"real-valued outputs.*got bool"),
        (
            lambda x: x * 1j,
            (1.0,),
            {},
            TypeError,
            r"real-valued outputs.*got complex64.*holomorphic",
        ),
        (lambda x: (x, x), (1.0,), {}, TypeError, r"scalar-output functions.*has_aux"),
        (lambda x: [x], (1.0,), {}, TypeError, r"scalar-output functions"),
        (lambda x: {"a": x}, (1.0,), {}, TypeError, r"scalar-output functions"),
        (lambda x: None, (1.0,), {}, TypeError, r"scalar-output functions.*None"),
        (lambda x: "loss", (1.0,), {}, TypeError, r"'loss'.*str"),
        (identity, (1,), {}, TypeError, r"real- or complex-valued inputs.*int32.*allow_int"),
        (identity, (True,), {}, TypeError, r"real- or complex-valued inputs.*bool"),
        (
            lambda p: p["w"],
            ({"w": 1.0, "n": [jnp.arange(2)]},),
            {},
            TypeError,
            r"int32.*\['n'\]\[0\]",
        ),
        (identity, ("a",), {}, TypeError, r"'a'.*str"),
        (lambda p: p[0], ((1.0, "a"),), {}, TypeError, r"\[1\].*'a'"),
        (identity, (jax.random.key(0),), {}, TypeError, r"key<fry>"),
        (product, (1.0,), {"argnums": 1}, TypeError, r"argnums=1 requires at least 2.*only 1"),
        (product, (1.0, 2.0), {"argnums": (0, 3)}, TypeError, r"argnums=\(0, 3\).*at least 4"),
        (product, (1.0,), {"argnums": -2}, TypeError, r"argnums=-2"),
        (identity, (1.0,), {"argnums": 0.0}, TypeError, r"argnums.*0\.0"),
        (identity, (1.0,), {"argnums": "x"}, TypeError, r"argnums.*'x'"),
        (identity, (1.0,), {"argnums": ("x",)}, TypeError, r"argnums.*'x'"),
        (product, (1.0, 1.0), {"argnums": (0, 0)}, (TypeError, ValueError), r"argnums.*\(0, 0\)"),
        (product, (1.0, 1.0), {"argnums": (0, -2)}, (TypeError, ValueError), r"argnums.*\(0, -2\)"),
        (identity, (1.0,), {"has_aux": True}, TypeError, r"has_aux.*two-element"),
        (lambda x: (x, x, x), (1.0,), {"has_aux": True}, TypeError, r"two-element"),
        (identity, (1.0,), {"holomorphic": True}, TypeError, r"inputs with complex dtype.*float32"),
        (jnp.real, (1j,), {"holomorphic": True}, TypeError, r"outputs with complex dtype.*float32"),
        (
            lambda p: p[0],
            ((1j, 1),),
            {"holomorphic": True, "allow_int": True},
            TypeError,
            r"inputs with complex dtype.*int32",
        ),
    ],
)
def test_what_grad_refuses(transform, fun, args, options, error, words):
    with pytest.raises(error, match=words):
        getattr(funcnn, transform)(fun, **options)(*args)


def test_missing_arguments_given_by_keyword():
    with pytest.raises(TypeError, match=r"argnums=0 requires at least 1 positional"):
        funcnn.grad(identity)(x=1.0)


@pytest.mark.parametrize(
    "transform",
    [funcnn.grad, funcnn.value_and_grad, funcnn.vjp, funcnn.jacrev, funcnn.hessian],
)
@pytest.mark.parametrize("fun", [3, None, "sin"])
def test_what_is_not_callable(transform, fun):
    with pytest.raises(TypeError, match=f"callable.*{fun!r}"):
        transform(fun)


@pytest.mark.parametrize(
    ("fun", "primals", "cotangent", "error", "words"),
    [
        (lambda x: (x, x), (1.0,), 1.0, ValueError, r"structure"),
        (lambda x: (x, x), (1.0,), [1.0, 1.0], ValueError, r"structure"),
        (lambda x: {"a": x}, (1.0,), {"b": 1.0}, ValueError, r"structure"),
        (identity, (X,), None, ValueError, r"structure"),
        (identity, (X,), jnp.ones(2), ValueError, r"got float32\[2\], but expected float32\[3\]"),
        (identity, (X,), 1.0, ValueError, r"got float32\[\], but expected float32\[3\]"),
        (identity, (X,), jnp.ones(3, jnp.float16), ValueError, r"got float16\[3\], but expected"),
        (identity, (X,), jnp.ones(3, int), ValueError, r"got int32\[3\], but expected float32"),
        (identity, (X,), jnp.ones(3) * 1j, ValueError, r"got complex64\[3\], but expected float32"),
        (identity, (1.0,), 1, ValueError, r"got int32\[\], but expected float32"),
        (lambda x: x > 0, (1.0,), X, ValueError, r"got float32\[3\], but expected float0\[\]"),
        (identity, (X,), "a", TypeError, r"'a'.*str"),
    ],
)
def test_cotangents_that_do_not_fit(fun, primals, cotangent, error, words):
    _, pullback = funcnn.vjp(fun, *primals)
    with pytest.raises(error, match=words):
        pullback(cotangent)


def test_a_pullback_takes_one_cotangent():
    _, pullback = funcnn.vjp(lambda x: (x, x), 1.0)
    with pytest.raises(TypeError, match=r"(?i)pullback|vjp.*2 arguments") as caught:
        pullback(1.0, 1.0)
    assert "_pull_back" not in str(caught.value)


@pytest.mark.parametrize(
    ("fun", "primals", "options", "words"),
    [
        (identity, ("a",), {}, r"'a'.*str"),
        (lambda p: 1.0, ({"w": [1.0, object()]},), {}, r"\['w'\]\[1\].*object"),
        (lambda x: "a", (1.0,), {}, r"'a'.*str"),
        (lambda x: {"a": (x, "b")}, (1.0,), {}, r"\['a'\]\[1\].*'b'"),
        (identity, (1.0,), {"has_aux": True}, r"has_aux.*two-element"),
        (identity, (1.0,), {"has_aux": 3.0}, r"has_aux.*3\.0"),
    ],
)
def test_what_vjp_refuses(fun, primals, options, words):
    with pytest.raises(TypeError, match=words):
        funcnn.vjp(fun, *primals, **options)


@pytest.mark.parametrize("use", [lambda x: x + 1, jnp.sin, lambda x: jax.jit(jnp.sin)(x), float])
def test_a_leaked_tracer(use):
    leaked = []

    def f(x):
        leaked.extend([x, jnp.sin(x)])
        return x

    funcnn.grad(f)(jnp.float32(1.0))
    funcnn.vjp(f, jnp.float32(1.0))
    assert len(leaked) == 4
    for tracer in leaked:
        with pytest.raises((jax.errors.UnexpectedTracerError, jax.errors.ConcretizationTypeError)):
            use(tracer)


def test_a_function_that_fails_leaves_nothing_behind():
    def fails(x):
        jnp.sin(x)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        funcnn.grad(fails)(1.0)
    assert isinstance(jnp.sin(1.0), jax.Array)
    both(lambda m: m.grad(jnp.sin)(1.0))
    with jax.checking_leaks():
        both(lambda m: m.grad(lambda x: jnp.sin(x) * x)(jnp.float32(1.0)))
