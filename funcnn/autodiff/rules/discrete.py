"""Primitives whose derivative is zero wherever there is one: nothing flows back through them.

What they give out jumps or stands still (comparisons, integers, bits, random draws), or they say
outright that no gradient is to pass.
"""

from funcnn.autodiff.jax_versions import primitive
from funcnn.autodiff.rules.table import zero_derivative


def _none_back(names: str) -> None:
    """Enters those of the primitives that this JAX has."""
    zero_derivative(*(primitive(f"{name}_p") for name in names.split()))


_none_back("sign floor ceil round stop_gradient")
_none_back("eq ne lt le gt ge eq_to lt_to le_to is_finite")
_none_back("and or xor not reduce_and reduce_or reduce_xor argmax argmin")
_none_back("shift_left shift_right_logical shift_right_arithmetic")
_none_back("population_count clz mulhi")
_none_back("bitcast_convert_type")
_none_back("iota empty2 create_token after_all")
zero_derivative("empty", "lu_pivots_to_permutation", "platform_index")

# random numbers: integers made of a key
_none_back("random_bits random_seed random_split random_fold_in threefry2x32 rng_bit_generator")
zero_derivative("random_wrap", "random_unwrap", "random_clone", "iota_2x32_shape")
zero_derivative("threefry4x32", "philox2x32", "philox4x32")

# no outputs: they run where the program runs, once
zero_derivative("debug_callback", "debug_print", "check", "inspect_sharding", "shape_assertion")
