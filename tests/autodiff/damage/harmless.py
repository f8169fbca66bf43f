"""Damages that do no harm, with the reason why: as "rule or function: what is damaged", with *."""

import jax

_OF_THE_WHOLE = "a part with the shape of the whole is the whole"
_IN_JAX = "it is a part of lax.random_gamma_grad, which is JAX's"
_NOT_NEGATIVE = "only negative starts are counted from the end, and these are not"
_NOT_READ = "it is kept along with the other outputs of its operation, but not read"

HARMLESS: dict[str, str] = {
    "*: operand 0 in place of add in `eye = jnp.eye(*": "it adds the number of the diagonal, 0",
    "*: operand 0 in place of add in `return x.at?where?.get(mode=*": _NOT_NEGATIVE,
    "*: operand 1 in place of select_n in `return x.at?where?.get(mode=*": _NOT_NEGATIVE,
    "all_gather_invariant: operand 1 in place of add in `start = *": "0 is added for a single axis",
    "all_gather_invariant: operand ? in place of add in `part = *": _NOT_NEGATIVE,
    "all_gather_invariant: operand 1 in place of select_n in `part = *": _NOT_NEGATIVE,
    "approx_top_k: *residual 0*": _NOT_READ,
    "bcsr_fromdense: operand 2 in place of select_n in *": (
        "what fills up is stored outside of the array, from where nothing is carried back"
    ),
    "csr_fromdense: *residual 0*": _NOT_READ,
    "cumlogsumexp: operand 0 in place of optimization_barrier in *": "it changes no value",
    "dynamic_slice: operand 1 in place of dynamic_update_slice in *": _OF_THE_WHOLE,
    "dynamic_update_slice: operand 0 in place of dynamic_slice in *": _OF_THE_WHOLE,
    "dynamic_update_slice: operand 1 in place of dynamic_update_slice in *": _OF_THE_WHOLE,
    "eig: operand 0 in place of sub in `return lax.reciprocal(gaps + eye) - eye`": (
        "what is multiplied by it has a diagonal of zeros: vectors of fixed length and phase"
    ),
    "lu: *residual 1*": _NOT_READ,
    "random_gamma: operand ? in place of and in *": _IN_JAX,
    "random_gamma: operand ? in place of lgamma in *": _IN_JAX,
    "random_gamma: operand ? in place of or in *": _IN_JAX,
    "real: cotangent 0 conjugated": "its imaginary part is zero",
    **{
        f"{name}: operand or output {i} in place of residual {1 - i}": (
            "they are of one type only where nothing is reduced, and then they are the same"
        )
        for name in ("reduce_max", "reduce_min")
        for i in (0, 1)
    },
    "select_and_*_add: operand 0 in place of stop_gradient in *": (
        "only integers are made of it, which have no gradient: it saves the tape some lines"
    ),
    "select_and_*_add: operand 0 in place of or in `stands = *": (
        "it is about windows with NaN, where XLA's own choice depends on the order of the places"
    ),
    "top_k: *residual 0*": _NOT_READ,
    "scatter-mul: operand 0 in place of add in `*[[]order]*": _NOT_NEGATIVE,
    "scatter-mul: operand 1 in place of select_n in `*[[]order]*": _NOT_NEGATIVE,
    "spsolve: operand ? in place of ??? in `transposed = *": _NOT_NEGATIVE,
    "spsolve: operand 1 in place of select_n in `transposed = *": _NOT_NEGATIVE,
    "tridiagonal_solve: cotangent 2 without its last element": (
        "it is zero: the last number of the upper diagonal is not read"
    ),
    "while: sums missing": (
        "it only makes some iterations be computed more often: test_kept.py, asked by mechanism.py"
    ),
}

if jax.__version_info__ < (0, 12):
    HARMLESS |= {
        "call: all of it*": "this JAX calls `TapeTrace.process_call` instead",
        "closed_call: all of it*": "this JAX calls `TapeTrace.process_call` instead",
        "polynomial: all of it*": "this JAX has no such primitive",
        "programs.hi_primitives:_custom_root: *": "this JAX has no such primitive",
        "programs.hi_primitives:_frexp: *": "this JAX has no such primitive",
        "programs.hi_primitives:_ldexp: *": "this JAX has no such primitive",
        "programs.hi_primitives:hi_rule: JAX's own as others'": "this JAX has none of its own",
    }
else:
    _OF_A_VALUE = "it is a factor in the value of custom_root's f, of which only the slope is read"
    HARMLESS |= {
        "call_hi_primitive: operand or output 3 in place of residual 1": _OF_A_VALUE,
        "call_hi_primitive: *residual [78]*": _OF_A_VALUE,
    }
