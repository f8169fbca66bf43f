"""A language of random programs, and what its programs compute.

A program is a block: a list of steps, each of which takes values made before and makes one more.
A step is an operation, or a program inside the program: a loop, a branch, a rematerialized or
mapped block, a function with a derivative of its own. Values are scalars, vectors of three,
3x3 matrices and complex vectors of three; what an operation gives is cut to one of these, so that
few shapes occur, and where it could grow it is put through tanh, so that there are digits to
compare. `programs` is the hypothesis strategy, `evaluate` runs one.
"""

import functools
import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.scipy import special

SIZE = 3
TRIPS = 2  # of loops whose length only the run can tell


class Step(NamedTuple):
    name: str
    picks: tuple[int, ...]
    """which of the values made so far, counted from the newest"""
    option: int
    blocks: tuple[tuple["Step", ...], ...]


class Inputs(NamedTuple):
    s: Any
    v: Any
    m: Any
    z: Any


def inputs(seed: int) -> Inputs:
    draw = np.random.default_rng(seed).standard_normal
    v = draw(SIZE)
    return Inputs(*map(jnp.asarray, (draw(), v, draw((SIZE, SIZE)), draw(SIZE) + 1j * draw(SIZE))))


# --- operations: the names of the parameters say what they take: x anything real, s, v, m, z, and
# k an integer. OPERATIONS: what keeps values where they are; GROWING: what is tamed by tanh after.

OPERATIONS: dict[str, Any] = {
    "neg": lambda x: -x,
    "sin": lambda x: jnp.sin(x),
    "cos": lambda x: jnp.cos(x),
    "tanh": lambda x: jnp.tanh(x),
    "atan": lambda x: jnp.arctan(x),
    "asinh": lambda x: jnp.arcsinh(x),
    "asin": lambda x: jnp.arcsin(0.9 * jnp.tanh(x)),
    "acosh": lambda x: jnp.arccosh(2.5 + jnp.tanh(x)),
    "atanh": lambda x: jnp.arctanh(0.5 * jnp.tanh(x)),
    "expm1": lambda x: jnp.expm1(jnp.tanh(x)),
    "log": lambda x: jnp.log(1.5 + jnp.tanh(x)),
    "log1p": lambda x: jnp.log1p(x * x),
    "sqrt": lambda x: jnp.sqrt(1.5 + jnp.tanh(x)),
    "rsqrt": lambda x: lax.rsqrt(1 + x * x),
    "cbrt": lambda x: jnp.cbrt(2 + jnp.sin(x)),
    "power": lambda x, s: (1.5 + jnp.tanh(x)) ** jnp.tanh(s),
    "integer power": lambda x, k: (1.2 + 0.5 * jnp.tanh(x)) ** (k % 5 - 2),
    "abs": lambda x: jnp.abs(x),
    "sign": lambda x: jnp.sign(x) * jnp.sin(x),
    "round": lambda x: x - jnp.round(x),
    "logistic": lambda x: jax.nn.sigmoid(x),
    "relu": lambda x: jax.nn.relu(x),
    "gelu": lambda x: jax.nn.gelu(x),
    "softplus": lambda x: jax.nn.softplus(x),
    "softmax": lambda m, k: jax.nn.softmax(m, axis=k % 2),
    "logsumexp": lambda m: jax.nn.logsumexp(m, axis=0),
    "sinc": lambda x: jnp.sinc(x),
    "erf": lambda x: special.erf(x),
    "erfc": lambda x: special.erfc(x),
    "erf_inv": lambda x: special.erfinv(0.8 * jnp.tanh(x)),
    "lgamma": lambda x: special.gammaln(2.5 + jnp.tanh(x)),
    "digamma": lambda x: special.digamma(2.5 + jnp.tanh(x)),
    "polygamma": lambda x: special.polygamma(1, 2.5 + jnp.tanh(x)),
    "bessel": lambda v: special.i0e(v) + special.i1e(v),
    "round trip": lambda x: x.astype(jnp.float32).astype(x.dtype),
    "stop": lambda x: x * lax.stop_gradient(jnp.cos(x)),
    "barrier": lambda s, v: lax.optimization_barrier((s, v))[1] * s,
    "where": lambda x: jnp.where(x > 0.1, x, jnp.sin(x)),
    "safe where": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0) + 0.1), 0.0),
    "select": lambda m, s, k: lax.select_n(jnp.floor(3 * m).astype(int) % 3, m, s + m, -m),
    "clip": lambda x, s: jnp.clip(x, -0.7 - s * s, 0.8),
    "clamp": lambda s, v, x: lax.clamp(-1.0, x, 1.0) + lax.clamp(-jnp.abs(s), v.sum(), 1 + s * s),
    "atan2": lambda x, s: jnp.arctan2(x, 2 + jnp.tanh(s)),
    "hypot": lambda x, s: jnp.hypot(1 + jnp.abs(x), s),
    "remainder": lambda x, s: jnp.remainder(x, 1.5 + jnp.tanh(s)),
    "maximum": lambda m, v: jnp.maximum(m, v),
    "minimum": lambda x, s: jnp.minimum(x, s),
    "divide": lambda m, v: m / (1.5 + jnp.tanh(v)),
    "logaddexp": lambda m, v: jnp.logaddexp(m, v[:, None]),
    # shapes
    "transpose": lambda m: m.T,
    "diagonal": lambda m: jnp.diagonal(m),
    "diag": lambda v: jnp.diag(v),
    "triangle": lambda m, k: jnp.tril(m, k % 3 - 1),
    "ravel": lambda m: m.ravel()[::2],
    "broadcast": lambda v, k: jnp.broadcast_to(jnp.expand_dims(v, k % 2), (SIZE, SIZE)),
    "flip": lambda m, k: jnp.flip(m, k % 2),
    "roll": lambda m, k: jnp.roll(m, k, k % 2),
    "stack": lambda v, s: jnp.stack([v, v * s, jnp.sin(v)]),
    "concatenate": lambda m, v: jnp.concatenate([m[1:], v[None], m[:1] * v]),
    "pad": lambda v, s: lax.pad(v * s, s, [(2, -1, 1)]),
    "mean": lambda m, k: m.mean(axis=k % 2),
    "total": lambda v: v.sum() / 2,
    "maximum of": lambda m, k: m.max(axis=k % 2),
    "minimum of": lambda m: m.min(),
    "deviation": lambda m: jnp.sqrt(m.var(axis=0) + 0.1),
    "norm": lambda x: x / (1 + jnp.linalg.norm(x)),
    # order
    "sort": lambda m, k: jnp.sort(m, axis=k % 2, descending=k > 3),
    "sort pair": lambda v, m: lax.sort((v, m[0]), num_keys=1)[1] + lax.sort((v, m[1]))[0],
    "argsort": lambda v, m: m[jnp.argsort(v)],
    "top_k": lambda v: lax.top_k(v, 2)[0].sum() * lax.top_k(v, 1)[0][0],
    "median": lambda v: jnp.median(v),
    # running
    "cumsum": lambda m, k: jnp.cumsum(m, axis=k % 2) / SIZE,
    "cumsum reverse": lambda v: lax.cumsum(v, reverse=True) / SIZE,
    "cumprod": lambda v: lax.cumprod(1.1 * jnp.tanh(v), reverse=True),
    "cummax": lambda v: lax.cummax(v),
    "cummin": lambda m: lax.cummin(m, axis=1, reverse=True),
    "cumlogsumexp": lambda v: lax.cumlogsumexp(v),
    "prod": lambda m, k: jnp.prod(1.2 * jnp.tanh(m), axis=k % 2),
    # indexing
    "row": lambda m, k: m[k % SIZE],
    "element": lambda m, v: m[1, jnp.argmax(v)],
    "gather": lambda m: m[jnp.array([0, -1, 0])],
    "gather pairs": lambda m: m[jnp.array([0, 2, 2]), jnp.array([1, 0, 0])],
    "take along": lambda m, v: jnp.take_along_axis(m, jnp.argsort(v)[:, None], axis=1)[:, 0],
    "take filled": lambda v: jnp.take(v, jnp.array([0, 7, 1]), mode="fill", fill_value=0.3),
    "dynamic slice": lambda m, v: lax.dynamic_slice(m, (jnp.argmin(v), 1), (2, 1)).sum(0),
    "dynamic update": lambda m, v: lax.dynamic_update_slice(m, v[None], (jnp.argmax(v), 0)),
    "set": lambda m, v, k: m.at[:, k % SIZE].set(v),
    "set twice": lambda v, s: v.at[jnp.array([0, 2])].set(jnp.sin(s)),
    "add at": lambda v, s: v.at[jnp.array([1, 1])].add(s) / 2,
    "multiply at": lambda v, s: v.at[jnp.array([0, 2])].multiply(jnp.cos(s), unique_indices=True),
    "max at": lambda m, v: m.at[jnp.argmax(v)].max(v),
    "min at": lambda v, s: v.at[jnp.array([0, 1])].min(s),
    # windows
    "convolution": lambda v, k: jnp.convolve(v, v[:2], mode=["full", "same", "valid"][k % 3]) / 2,
    "image convolution": lambda m, k: (
        lax.conv_general_dilated(
            m[None, :, :, None],
            m[:2, :2, None, None],
            (1 + k % 2, 1),
            [(1, 0), (0, 1)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )[0, ..., 0]
        / 3
    ),
    "max pool": lambda m: lax.reduce_window(m, -np.inf, lax.max, (2, 2), (1, 1), "SAME"),
    "min pool": lambda m: lax.reduce_window(m, np.inf, lax.min, (2, 2), (2, 2), "SAME"),
    "mean pool": lambda m: lax.reduce_window(m, 0.0, lax.add, (2, 2), (1, 1), "VALID") / 4,
    # contractions
    "dot": lambda v, k: v @ v[::-1] / SIZE,
    "matrix vector": lambda m, v, k: (m @ v if k % 2 else v @ m) / SIZE,
    "gram": lambda m: m @ m.T / SIZE,
    "product": lambda m, v: (m * v) @ jnp.sin(m) / SIZE,
    "einsum": lambda m, v: jnp.einsum("ij,kj,j->ik", m, jnp.cos(m), v) / 4,
    "outer": lambda v, s: jnp.outer(v, jnp.cos(v * s)),
    "preferred": lambda m, v: lax.dot(m, v, preferred_element_type=jnp.float64) / SIZE,
    # linear algebra
    "cholesky": lambda m: jnp.linalg.cholesky(m @ m.T + jnp.eye(SIZE)) / 2,
    "solve": lambda m, v: jnp.linalg.solve(tame(m) + 4 * jnp.eye(SIZE), v),
    "triangular solve": lambda m, v: jax.scipy.linalg.solve_triangular(
        tame(m) + 3 * jnp.eye(SIZE), v, lower=True
    ),
    "inverse": lambda m: jnp.linalg.inv(tame(m) + 4 * jnp.eye(SIZE)),
    "slogdet": lambda m: jnp.linalg.slogdet(tame(m) + 4 * jnp.eye(SIZE))[1],
    "qr": lambda m: jnp.abs(jnp.linalg.qr(tame(m) + 3 * jnp.eye(SIZE))[1]) / 4,
    "eigh": lambda m: matrix_tanh(tame(m) + tame(m).T),
    "singular values": lambda m: jnp.linalg.svd(APART + tame(m), compute_uv=False) / 4,
    "polar": lambda m: (lambda u, s, vt: u @ vt)(*jnp.linalg.svd(APART + tame(m))),
    "eigenvalues": lambda m: jnp.sin(jnp.linalg.eigvals(APART + tame(m))),
    "tridiagonal": lambda v, m: lax.linalg.tridiagonal_solve(v, 5 + jnp.sin(v), v[::-1], m),
    "expm": lambda m: jax.scipy.linalg.expm(tame(m) / 4) / 2,
    # complex
    "complex": lambda v, x: lax.complex(v, jnp.cos(x).sum() * v),
    "real": lambda z: z.real,
    "imag": lambda z: jnp.imag(z),
    "modulus": lambda z: jnp.abs(z + 0.3),
    "angle": lambda z: jnp.angle(4 + tame(z)),
    "conj": lambda z: jnp.conj(z),
    "phase": lambda z, s: z * jnp.exp(1j * s),
    "complex sin": lambda z: jnp.sin(tame(z)),
    "complex log": lambda z: jnp.log(3 + tame(z)),
    "complex sqrt": lambda z: jnp.sqrt(3 + tame(z)),
    "complex divide": lambda z, v: z / (2 + v * v),
    "complex matrix": lambda m, z: m @ z / SIZE,
    "complex product": lambda z: jnp.vdot(z, z * 1j * z).real / 4,
    "complex power": lambda z: tame(z) ** 3 / 2,
    "fft": lambda z: jnp.fft.fft(z) / 2,
    "rfft": lambda v: jnp.fft.rfft(v, 5) / 2,
    "irfft": lambda z: jnp.fft.irfft(z, 4),
    "fft2": lambda m: jnp.fft.ifft2(m)[1],
    # functions of functions
    "associative scan": lambda v, s: lax.associative_scan(lambda a, b: jnp.sin(a + b), v * s),
    "root": lambda s: lax.custom_root(
        lambda y: y - 0.5 * jnp.sin(y) - s,
        jnp.zeros_like(s),
        lambda f, y: lax.fori_loop(0, 40, lambda _, y: y - f(y) / (1 - 0.5 * jnp.cos(y)), y),
        lambda g, y: y / g(1.0),
    ),
    "linear solve": lambda m, v: linear_solve(tame(m) / SIZE, v),
    "conjugate gradients": lambda v, s: jax.scipy.sparse.linalg.cg(
        lambda x: x * (2 + s * s), v, maxiter=2
    )[0],
    "gradient clipped": lambda x, v: gradient_clipped(x, v.sum()),
    "softsign": lambda x: softsign(x),
    "symbolic": lambda s, v: symbolic(s, v),
    "platform": lambda x: lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos),
    "named": lambda v: jax.named_call(jnp.sin, name="a sine")(checkpoint_name(v * v, "named")),
}
GROWING: dict[str, Any] = {
    "add": lambda x, s: x + s,
    "add rows": lambda m, v: m + v,
    "subtract": lambda m, v: v[:, None] - m,
    "multiply": lambda m, v: m * v[:, None],
    "scale": lambda x, s: x * s,
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "exp": lambda x: jnp.exp(x),
    "sinh": lambda x: jnp.sinh(x),
    "tan": lambda x: jnp.tan(jnp.tanh(x)),
    "divide plain": lambda m, v: v / (0.5 + m * m),
    "complex times": lambda z, v: z * z * v,
}
# their equations are loops, which take long without being compiled: not in blocks that are repeated
LONG: dict[str, Any] = {
    "igamma": lambda v, s: special.gammainc(2 + jnp.tanh(s), 1.5 + jnp.tanh(v)),
    "igammac": lambda v: special.gammaincc(1.3, 1.5 + jnp.tanh(v)),
    "betainc": lambda v: special.betainc(1.3, 2.1, 0.5 + 0.4 * jnp.tanh(v)),
}
APART = np.diag(3.0 * np.arange(1, SIZE + 1))


def tame(x):
    """Within the unit disk (square, for complex values)."""
    return lax.complex(tame(x.real), tame(x.imag)) if jnp.iscomplexobj(x) else jnp.tanh(x)


def matrix_tanh(a):
    """Knows no signs of eigenvectors."""
    w, v = jnp.linalg.eigh(a + APART)
    return (v * jnp.tanh(w)) @ v.T


def linear_solve(a, b):
    matvec = lambda x: a @ x + 3 * x
    solve = lambda matvec, b: jnp.linalg.solve(jax.jacfwd(matvec)(jnp.zeros_like(b)), b)
    return lax.custom_linear_solve(matvec, b, solve, solve)


@jax.custom_jvp
def softsign(x):
    return x / (1 + jnp.abs(x))


@softsign.defjvp
def _(primals, tangents):
    [x], [t] = primals, tangents
    return softsign(x), t / (1 + jnp.abs(x)) ** 2


@jax.custom_vjp
def gradient_clipped(x, y):
    """A derivative that is not that of its code: the rule must be seen to be followed."""
    return x * jnp.sin(y)


gradient_clipped.defvjp(
    lambda x, y: (x * jnp.sin(y), (x, y)),
    lambda kept, g: (jnp.clip(g, -1, 1) * kept[1], jnp.sum(g * kept[0] * 2)),
)


@jax.custom_jvp
def symbolic(s, v):
    return s * v


def _symbolic_rule(primals, tangents):
    s, v = primals
    s_dot, v_dot = tangents
    is_zero = lambda t: type(t) is jax.custom_derivatives.SymbolicZero
    out_dot = jnp.zeros_like(v)
    if not is_zero(s_dot):
        out_dot += s_dot * v
    if not is_zero(v_dot):
        out_dot += 2 * s * v_dot
    return s * v, out_dot


symbolic.defjvp(_symbolic_rule, symbolic_zeros=True)


def _parameters(operation):
    return tuple(inspect.signature(operation).parameters)


EVERY = {**OPERATIONS, **GROWING, **LONG}
TAKES = {name: _parameters(operation) for name, operation in EVERY.items()}


# --- programs inside programs


class Values:
    """What a block has made so far, by kind, the newest last.

    A block of a loop or a branch starts with the values around it, which it so closes over.
    """

    def __init__(self, of_kind, trips):
        self.of_kind = {kind: list(values) for kind, values in of_kind.items()}
        self.trips = trips  # of loops whose length only the run can tell

    def inner(self, values):
        new = Values(self.of_kind, self.trips)
        for value in values:
            new.add(value)
        return new

    def closed(self, values):
        """Nothing but these: for functions that may not close over what is differentiated."""
        return Values({kind: [] for kind in "svmz"}, self.trips).inner(values)

    def pick(self, kind, pick):
        if kind == "x":
            kind, pick = "svm"[pick % 3], pick // 3
        values = self.of_kind[kind]
        return values[-1 - pick % len(values)]

    def add(self, value):
        self.of_kind[kind_of(value)].append(value)

    def newest(self):
        return tuple(self.of_kind[kind][-1] for kind in "svmz")


def kind_of(value):
    if jnp.iscomplexobj(value):
        return "z"
    return "svm"[value.ndim]


def fitted(value):
    """Of one of the four kinds, cut from what an operation gave."""
    if jnp.iscomplexobj(value):
        if value.size < SIZE:
            return lax.concatenate([value.ravel()] * SIZE, 0)[:SIZE]
        return value if value.shape == (SIZE,) else value.ravel()[:SIZE]
    if value.shape in ((), (SIZE,), (SIZE, SIZE)):
        return value
    if value.size >= SIZE * SIZE:
        return value.ravel()[: SIZE * SIZE].reshape(SIZE, SIZE)
    return value.ravel()[-SIZE:] if value.size >= SIZE else value.sum()


def run(block, values: Values) -> Values:
    for step in block:
        if step.name in PROGRAMS:
            made = PROGRAMS[step.name](step, values)
        else:
            operands = [
                step.option if kind == "k" else values.pick(kind, pick)
                for kind, pick in zip(TAKES[step.name], step.picks, strict=False)
            ]
            made = EVERY[step.name](*operands)
            if step.name in GROWING:
                made = tame(made)
            made = [made]
        for value in made:
            values.add(fitted(value))
    return values


def through(block, values):
    """The block as a function of the four values it starts with."""
    return lambda *start: run(block, values.inner(start)).newest()


def start(step, values):
    return tuple(values.pick(kind, pick) for kind, pick in zip("svmz", step.picks, strict=True))


def _scan(step, values):
    def body(carry, row):
        count, s, v, z = carry
        m = values.pick("m", step.picks[0])
        s, v, m, z = run(step.blocks[0], values.inner([s, m, z, row, v])).newest()
        return (count + 1, tame(s), v, z), (s * count, jnp.sin(v), count)

    s, v, m, z = start(step, values)
    options = {"reverse": step.option % 2 == 1, "unroll": 1 + step.option % 3 // 2}
    scanned = m if step.option != 5 else jnp.concatenate([m, jnp.cos(m)])
    carry, (scalars, vectors, counts) = lax.scan(body, (0, s, v, z), scanned, **options)
    return [*carry[1:], scalars * counts, vectors, scalars[0]]


def _fori(step, values):
    body = lambda i, c: through(step.blocks[0], values)(c[0] * i / 2, *c[1:])
    return lax.fori_loop(step.option % 3, 3, body, start(step, values))


def _while(step, values):
    """Of a length that only the run can tell; where JAX differentiates, the length is a number."""
    body = lambda i, c: through(step.blocks[0], values)(c[0] + i / 4, *c[1:])
    return lax.fori_loop(0, values.trips + step.option % 2, body, start(step, values))


def _cond(step, values):
    first, second = (through(block, values) for block in step.blocks)
    return lax.cond(values.pick("s", step.option) > 0, first, second, *start(step, values))


def _switch(step, values):
    branches = [through(block, values) for block in step.blocks]
    index = jnp.floor(values.pick("s", step.option) * 2).astype(int) + 1
    return lax.switch(index, branches, *start(step, values))


_policies = jax.checkpoint_policies
POLICIES = [
    None,
    _policies.dots_saveable,
    _policies.save_only_these_names("named"),
    _policies.everything_saveable,
    _policies.save_anything_except_these_names("named"),
    _policies.dots_with_no_batch_dims_saveable,
]


def _checkpoint(step, values):
    policy = POLICIES[step.option % len(POLICIES)]
    block = through(step.blocks[0], values)
    return jax.checkpoint(block, policy=policy, prevent_cse=step.option % 2 == 0)(
        *start(step, values)
    )


def _jit(step, values):
    return jax.jit(through(step.blocks[0], values))(*start(step, values))


def _map(step, values):
    """Mapped over the rows of matrices, and over vectors' elements."""
    _, v, m, z = start(step, values)
    block = lambda s, v, z: run(step.blocks[0], values.inner([s, v, z])).newest()
    axis = step.option % 2
    s, v, m, z = jax.vmap(block, in_axes=(0, axis, None), out_axes=(0, axis, 1, 0))(v, m, z)
    return s, v, m[0], z[1], m[:, 1, :]


def _lax_map(step, values):
    block = lambda v: run(step.blocks[0], values.inner([v])).newest()[:2]
    return lax.map(block, start(step, values)[2])


def _custom_jvp(step, values):
    """A function with a rule that is not its derivative."""
    block = lambda *start: run(step.blocks[0], values.closed(start)).newest()
    function = jax.custom_jvp(block)

    @function.defjvp
    def _(primals, tangents):
        out, out_dot = jax.jvp(block, primals, tangents)
        return out, tuple(1.5 * t for t in out_dot)

    return function(*start(step, values))


def _custom_vjp(step, values):
    block = lambda *start: run(step.blocks[0], values.closed(start)).newest()
    function = jax.custom_vjp(block)
    function.defvjp(
        lambda *start: (block(*start), start),
        lambda kept, gs: tuple(0.5 * g * jnp.cos(x) for x, g in zip(kept, gs, strict=True)),
    )
    return function(*start(step, values))


def _gradient(step, values):
    """The gradient by JAX of a block."""
    s, v, m, _ = start(step, values)
    inner = Values(values.of_kind, TRIPS)  # JAX differentiates no loop of dynamic length

    def block(s, v, m):
        return sum(jnp.sum(x) for x in run(step.blocks[0], inner.inner([s, v, m])).newest()[:3])

    return [jnp.sin(g) for g in jax.grad(block, argnums=(0, 1, 2))(s, v, m)]


def _tangent(step, values):
    """The derivative in a direction by JAX of a block."""
    primals = start(step, values)
    block = through(step.blocks[0], values)
    _, tangents = jax.jvp(block, primals, tuple(jnp.cos(x) for x in primals))
    return [tame(t) for t in tangents]


PROGRAMS = {
    "scan": _scan,
    "fori": _fori,
    "while": _while,
    "cond": _cond,
    "switch": _switch,
    "checkpoint": _checkpoint,
    "jit": _jit,
    "map": _map,
    "lax map": _lax_map,
    "custom_jvp": _custom_jvp,
    "custom_vjp": _custom_vjp,
    "gradient": _gradient,
    "tangent": _tangent,
}
BLOCKS = dict.fromkeys(PROGRAMS, 1) | {"cond": 2, "switch": 3}
REPEATED = {"scan", "fori", "while", "lax map", "map"}


def evaluate(program, trips, start: Inputs):
    """A scalar made of every other value that the program made: some are so never used."""
    values = run(program, Values({kind: [x] for kind, x in zip("svmz", start, strict=True)}, trips))
    used = [x for of_kind in values.of_kind.values() for x in of_kind[::-2]]
    return sum(jnp.mean(jnp.sin(jnp.abs(x) if jnp.iscomplexobj(x) else x)) for x in used)


# --- how programs are drawn

picks = st.tuples(*[st.integers(0, 8)] * 4)
options = st.integers(0, 5)


def operations(names):
    return st.builds(Step, st.sampled_from(sorted(names)), picks, options, st.just(()))


@functools.cache
def steps(depth: int, long: bool = True, control: float = 0.2):
    plain = operations(EVERY if long else {**OPERATIONS, **GROWING})
    if depth == 0:
        return plain
    inner = tuple(
        st.builds(
            Step,
            st.just(name),
            picks,
            options,
            st.tuples(*[blocks(depth - 1, name not in REPEATED and long)] * BLOCKS[name]),
        )
        for name in PROGRAMS
    )
    return st.integers(0, 9).flatmap(lambda n: st.one_of(*inner) if n >= 8 else plain)


def blocks(depth, long):
    return st.lists(steps(depth, long), min_size=1, max_size=8).map(tuple)


def programs(min_size, max_size, depth):
    return st.lists(steps(depth), min_size=min_size, max_size=max_size).map(tuple)


def size(program) -> int:
    """How many steps, those of inner blocks included."""
    return sum(1 + sum(map(size, step.blocks)) for step in program)
