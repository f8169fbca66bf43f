"""An example's picture as a file, still or moving: small, and the same each time."""

import io
from collections.abc import Sequence
from pathlib import Path

try:
    from matplotlib.figure import Figure
    from PIL import Image  # matplotlib stands on it
except ImportError as error:
    raise ImportError(
        "the picture needs matplotlib: pip install 'funcnn[examples]' (or --no-picture)"
    ) from error


def save(figure: Figure, path: Path, colors: int = 255) -> None:
    """Writes the figure as a PNG with a palette, and says where the picture is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = drawn(figure).quantize(colors, dither=Image.Dither.NONE)
    with_white(page).save(path, optimize=True)
    print(f"picture: {path}")


def save_animation(
    frames: Sequence[Image.Image], path: Path, milliseconds: Sequence[int], colors: int = 255
) -> None:
    """Writes frames (from `drawn`), each shown for so long, as a GIF that runs again and again."""
    # one palette for all of them, so that a frame needs to hold only what changes
    width, height = frames[0].size
    strip = Image.new("RGB", (width, height * len(frames)))
    for i, frame in enumerate(frames):
        strip.paste(frame, (0, height * i))
    strip = with_white(strip.quantize(colors, dither=Image.Dither.NONE))
    boxes = [(0, height * i, width, height * (i + 1)) for i in range(len(frames))]
    first, *rest = [strip.crop(box) for box in boxes]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(
        path, save_all=True, append_images=rest, duration=list(milliseconds), loop=0, optimize=True
    )
    print(f"picture: {path}")


def with_white(page: Image.Image) -> Image.Image:
    """An image with a palette in which the paper, the colour of the corner, is white as it was."""
    palette, paper = page.getpalette() or [], page.getpixel((0, 0))
    palette[3 * paper : 3 * paper + 3] = [255, 255, 255]
    page.putpalette(palette)
    return page


def drawn(figure: Figure, dpi: float | None = None) -> Image.Image:
    """The figure's pixels, as it would be saved."""
    page = io.BytesIO()
    figure.savefig(page, format="png", dpi=dpi or figure.dpi)
    return Image.open(page).convert("RGB")
