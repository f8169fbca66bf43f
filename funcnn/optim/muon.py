"""Muon: momentum whose matrix has had its singular values made equal."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from .adamw import adamw
from .hyperparameters import number, whole_number
from .lift import lift
from .masked import partition
from .masks import Mask, resolved
from .norms import norm
from .slots import zeros
from .transformation import PyTree, Schedule
from .weight_decay import constant_or_schedule, decayed


class MuonState(NamedTuple):
    """The state of `muon` for the matrices.

    Attributes:
        learning_rate: float, (). The rate of the latest update (at first: of the one to come).
        mu: a pytree like the params: the running mean of g.
        count: int32, (). Updates so far.
    """

    learning_rate: jax.Array
    mu: PyTree
    count: Any  # Any, because a tuple has a method of this name


def muon(
    learning_rate: ArrayLike | Schedule,
    ns_coeffs: Sequence[Any] = (3.4445, -4.7750, 2.0315),
    ns_steps: int = 5,
    beta: ArrayLike = 0.95,
    eps: ArrayLike = 1e-8,
    weight_decay: ArrayLike | Schedule = 0.0,
    weight_decay_mask: Mask | None = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1: ArrayLike = 0.9,
    adam_b2: ArrayLike = 0.999,
    adam_eps_root: ArrayLike = 0.0,
    adam_weight_decay: ArrayLike | Schedule = 0.0,
    adam_learning_rate: ArrayLike | Schedule | None = None,
    consistent_rms: ArrayLike | None = None,
    matrices: Mask | None = None,
) -> Any:
    """Muon for matrices and AdamW for the rest; results are those of `optax.contrib.muon`.

    With gradient g and learning rate α, step t of a matrix x of `in` rows and `out` columns is

        m ← β m + (1 − β) g
        m̂ = β m / (1 − βᵗ⁺¹) + (1 − β) g / (1 − βᵗ)
        x ← x − α (√max(1, out / in) orthogonalized(m̂) + λx)

    See `orthogonalized`. optax has two more arguments: `preconditioning`, here "frobenius", its
    default; and `muon_weight_dimension_numbers`, in the place of which here is `matrices`.

    Args:
        learning_rate: α, a number of at least 0, or a schedule.
        ns_coeffs: three coefficients for all Newton-Schulz iterations, or three for each.
        ns_steps: how many iterations.
        beta: β, in [0, 1).
        eps: added to the norm that m̂ is divided by first; and Adam's.
        weight_decay: λ, a number of at least 0, or a schedule.
        weight_decay_mask: which matrices decay, as in `add_decayed_weights`. None: all.
        mu_dtype: dtype of m; None for that of each parameter.
        nesterov: m̂ as above, else m / (1 − βᵗ).
        adaptive: scales the orthogonal matrix by its product with m̂.
        adam_b1, adam_b2, adam_eps_root, adam_weight_decay: of AdamW for the other params.
        adam_learning_rate: of AdamW; None for `learning_rate`.
        consistent_rms: c, for √max(in, out) c in the place of √max(1, out / in): steps of the
            size of Adam's (0.2, say).
        matrices: which params Muon is for, a mask as in `masked`. None: those with two axes. A
            kernel of more axes, of a convolution, say, is taken as a matrix (…·in, out). Embeddings
            and the last layer are better left to AdamW.

    Returns:
        The transformation, with a `PartitionState` of a `MuonState`, "muon", and an `AdamState`,
        "adam"; `update` needs the params.

    Raises:
        ValueError: a number that is NaN, infinite or outside its range.
        TypeError: something that is not a real number.

    Example:
        >>> import jax.numpy as jnp
        >>> from funcnn import optim
        >>> params = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
        >>> gradients = {"kernel": jnp.array([[1e3, 0.0], [0.0, 1.0]]), "bias": jnp.ones(2)}
        >>> optimizer = optim.muon(0.1, ns_steps=12)
        >>> updates, _ = optimizer.update(gradients, optimizer.init(params), params)
        >>> print(updates["kernel"].round(1) + 0.0, updates["bias"].round(1))
        [[-0.1  0. ]
         [ 0.  -0.1]] [-0.1 -0.1]

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    consistent_rms: Liu et al., "Muon is Scalable for LLM Training", arXiv:2502.16982, 2025.
    """
    coefficients = _coefficients(ns_coeffs, whole_number("ns_steps", ns_steps, low=1))
    beta, eps = number("beta", beta, low=0, below=1), number("eps", eps, low=0)
    rms = None if consistent_rms is None else number("consistent_rms", consistent_rms, low=0)
    constant, decay_at = constant_or_schedule(weight_decay)

    def size(rows, columns):
        return (
            max(1, columns / max(rows, 1)) ** 0.5
            if rms is None
            else max(rows, columns) ** 0.5 * rms
        )

    def algorithm(g, m, *, x, rate, c, c_next, decay=constant):
        m = beta * m + (1 - beta) * g
        m_hat = beta * (m / c_next) + (1 - beta) * (g / c) if nesterov else m / c
        matrix = _as_matrix(m_hat)
        d = orthogonalized(matrix, coefficients, eps)
        d = jnp.sum(matrix.conj() * d) * d if adaptive else d
        return -rate * decayed((size(*d.shape) * d).reshape(g.shape), decay, x), m

    matrix_steps = lift(
        algorithm,
        MuonState,
        slots={"mu": zeros("mu_dtype", mu_dtype)},
        learning_rate=learning_rate,
        scalars=lambda t: {"c": 1 - beta**t, "c_next": 1 - beta ** (t + 1)} | decay_at(t),
        uses_params=True,
        masks={"decay": True if weight_decay_mask is None else weight_decay_mask},
    )
    other_steps = adamw(
        learning_rate if adam_learning_rate is None else adam_learning_rate,
        adam_b1,
        adam_b2,
        eps,
        adam_eps_root,
        mu_dtype,
        adam_weight_decay,
        nesterov=nesterov,
    )

    def labels(tree):
        two_axes = lambda tree: jax.tree.map(lambda x: jnp.ndim(x) == 2, tree)
        chosen = resolved(two_axes if matrices is None else matrices, tree)
        return jax.tree.map(lambda is_matrix: "muon" if is_matrix else "adam", chosen)

    return partition({"muon": matrix_steps, "adam": other_steps}, labels)


def orthogonalized(
    matrix: jax.Array, coefficients: Sequence[tuple[float, float, float]], eps: ArrayLike = 1e-8
) -> jax.Array:
    """UVᴴ of the singular value decomposition USVᴴ, approximately, by matrix products alone.

    The matrix is divided by its Frobenius norm + eps. Each Newton-Schulz iteration with
    coefficients a, b, c then takes every singular value s to a s + b s³ + c s⁵:

        X ← a X + (b XXᴴ + c (XXᴴ)²) X

    Muon's usual coefficients do not converge: they bring all singular values, the small ones
    quickly, into about 0.7 to 1.2.

    Args:
        matrix: real or complex, (rows, columns).
        coefficients: (a, b, c) for each iteration.
        eps: for the matrix 0.

    Returns:
        An array like the matrix.

    >>> x = jnp.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    >>> print(orthogonalized(x, [(1.5, -0.5, 0.0)] * 9).round(3))  # Newton and Schulz's own
    [[1. 0. 0.]
     [0. 1. 0.]]
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = (wide / (norm(wide) + eps)).astype(wide.dtype)  # in float32: float16 has no such eps
    for a, b, c in coefficients:
        s = x @ x.T.conj()
        x = a * x + (b * s + c * s @ s) @ x
    return x if wide is matrix else x.T


def _as_matrix(x):
    if x.ndim < 2:
        raise ValueError(f"muon is for arrays of two axes or more, got shape {x.shape}")
    return x.reshape(-1, x.shape[-1]) if x.size else x.reshape(0, x.shape[-1])


def _coefficients(ns_coeffs, steps):
    coefficients = np.asarray(ns_coeffs, float)
    if coefficients.shape == (3,):
        return [tuple(coefficients.tolist())] * steps
    if coefficients.ndim != 2 or coefficients.shape[1] != 3 or len(coefficients) < steps:
        raise ValueError(
            f"ns_coeffs must have shape (3,), or (n, 3) with n of at least ns_steps={steps}, got "
            f"shape {coefficients.shape}"
        )
    return [tuple(row) for row in coefficients[-steps:].tolist()]
