"""The options that the examples share, and the kinds of values that options take."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every example; the description is printed as it is."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument(
        "--seed",
        type=whole_number(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="for the first parameters and the order of the examples: the same seed trains the "
        "same network, bit for bit (default: %(default)s)",
    )
    result.add_argument(
        "--out",
        type=folder,
        default="out",
        metavar="FOLDER",
        help="folder for the picture, made if it is not there (default: %(default)s)",
    )
    result.add_argument(
        "--no-picture", action="store_true", help="draw nothing (and do without matplotlib)"
    )
    return result


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """The options of the examples that train for long."""
    parser.add_argument(
        "--checkpoints",
        type=folder,
        metavar="FOLDER",
        help="save the run there after each epoch (needs the extra 'checkpoints')",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last of the checkpoints, where there are some",
    )


def check_checkpoints(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Says what is wrong with these options before anything is trained."""
    if args.resume and args.checkpoints is None:
        parser.error("argument --resume: needs --checkpoints FOLDER")
    if args.checkpoints is None or args.resume:
        return
    if args.checkpoints.exists() and any(args.checkpoints.glob("step_*")):
        parser.error(
            f"argument --checkpoints: {args.checkpoints} holds a run already: --resume goes on "
            "with it"
        )


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """A converter for argparse: text to an int in low..high."""
    limits = f"of at least {low}" if high is None else f"from {low} to {high}"

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}, got {text!r}")
        return number

    return convert


def positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def folder(text: str) -> Path:
    """The path of a folder that is there or can be made."""
    path = Path(text).expanduser()
    nearest = next(part for part in (path, *path.parents) if part.exists())
    if not nearest.is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, but {nearest} is a file")
    return path
