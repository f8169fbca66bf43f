"""Files from the first mirror that has them whole, kept in a cache folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType


def download(registry: Mapping[str, str], mirrors: Sequence[str], folder: Path) -> dict[str, Path]:
    """Brings files into `folder`, each from the first mirror that serves it as its checksum says.

    A file already in `folder` with the right checksum is not downloaded. A download goes to a
    temporary name and gets its own once its checksum is right, so that what was cut short or
    damaged on the way never counts as the file.

    Args:
        registry: the sha256 of each file, by the name that it has on the mirrors and in `folder`.
        mirrors: the http(s) addresses of the folders that have the files, tried in this order.
        folder: where the files go, made if needed.

    Returns:
        The path of each file, by name.

    Raises:
        OSError: no mirror has a file; the message says what went wrong with each. Or `folder`
            cannot be written.
        ImportError: pooch is not installed.
    """
    pooch = import_pooch()
    from requests.exceptions import RequestException

    if isinstance(mirrors, str):
        raise TypeError(f"mirrors={mirrors!r}: expected a sequence of addresses, not one string")
    paths = {}
    for name, sha256 in registry.items():
        failures = []
        for mirror in mirrors:
            url = f"{mirror.rstrip('/')}/{name}"
            try:
                paths[name] = Path(pooch.retrieve(url, f"sha256:{sha256}", name, folder))
                break
            except (RequestException, ValueError) as error:  # pooch: ValueError for a checksum
                failures.append(f"\n  {url}: {error}")
        else:
            raise OSError(
                f"could not download {name}; mirrors tried: {len(failures)}{''.join(failures)}\n"
                f"Files needed: {', '.join(registry)}.\n{advice()}"
            )
    return paths


def cache_folder() -> Path:
    """The folder for downloads in the user's cache, as the operating system has it."""
    return Path(import_pooch().os_cache("funcnn"))


def import_pooch() -> ModuleType:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "pooch, which finds the cache and downloads data sets, is missing: "
            f"pip install 'funcnn[data]'. {advice()}"
        ) from error
    return pooch


def advice() -> str:
    return (
        "To do without a download, put the files in a folder of your own, and pass that folder "
        "(folder=...) or set the environment variable FUNCNN_DATA to it "
        f"(now: {os.environ.get('FUNCNN_DATA') or 'not set'})."
    )
