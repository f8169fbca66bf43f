"""Parameters alone, to and from a safetensors file, by path."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcnn.train.leaves import described, expect_same, named_leaves


def save_params(path: str | os.PathLike[str], params: Any) -> None:
    """Writes the arrays of a pytree to a file of the safetensors format.

    An array is stored under its path (`funcnn.paths.names`): `params[1]["kernel"]` as "1/kernel".
    A file that is there is replaced at once when the new one is whole.

    Args:
      path: of the file; its folder must be there.
      params: any pytree of arrays. Of several hosts each writes all of it: let one do so.

    Raises:
      TypeError: a leaf that is no array, or of a dtype that the format does not have.
      ValueError: two leaves with the same path.
      OSError: the file cannot be written.
      ImportError: safetensors is not installed.

    Example:

    >>> import tempfile, jax
    >>> from funcnn import nn, train
    >>> model = nn.serial(nn.dense(3), jax.nn.relu, nn.dense(1))
    >>> params, _ = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train.save_params(f"{folder}/model.safetensors", params)
    ...     again = train.load_params(f"{folder}/model.safetensors", params)
    >>> print((again[2]["kernel"] == params[2]["kernel"]).all())
    True
    """
    arrays = {name: _as_array(name, leaf) for name, leaf in named_leaves(params).items()}
    path = Path(path)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(_safetensors().numpy.save(arrays))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_params(path: str | os.PathLike[str], like: Any) -> Any:
    """Parameters from a safetensors file.

    Args:
      path: of a file that `save_params` wrote, or that has its names, shapes and dtypes.
      like: parameters of the same model, or `jax.ShapeDtypeStruct`s in their place: they say which
        structure, shapes and dtypes are expected, and, where they are arrays, which shardings.

    Returns:
      A pytree like `like` with the file's values.

    Raises:
      ValueError: the file has other leaves than `like`, or a leaf of another shape or dtype, or is
        damaged; the message names the leaf or the file.
      OSError: the file cannot be read.
      ImportError: safetensors is not installed.
    """
    safetensors = _safetensors()
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}") from error
    expected = named_leaves(like)
    expect_same(
        f"{path} does not fit the model",
        {name: described(leaf) for name, leaf in expected.items()},
        {name: described(array) for name, array in found.items()},
    )

    def placed(name: str, leaf: Any) -> jax.Array:
        array = jnp.array(found[name])  # a copy: the file may change
        return jax.device_put(array, leaf.sharding) if getattr(leaf, "committed", False) else array

    leaves = [placed(name, leaf) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


# what safetensors both writes from NumPy arrays and reads into them
_DTYPES = {
    *("bool", "float16", "bfloat16", "float32", "float64", "complex64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


def _as_array(name: str, leaf: Any) -> np.ndarray:
    if not hasattr(leaf, "dtype"):
        raise TypeError(f"{name} is {leaf!r}, expected an array")
    if leaf.dtype.name not in _DTYPES:
        raise TypeError(f"{name} has dtype {leaf.dtype}, which a safetensors file cannot hold")
    return np.asarray(leaf, order="C")


def _safetensors() -> ModuleType:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "safetensors, which writes and reads files of parameters, is missing: "
            "pip install 'funcnn[checkpoints]'"
        ) from error
    return safetensors
