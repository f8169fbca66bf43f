"""One HTML file in which a graph is walked through: both passes, one step at a time.

All is in the file: no network, no libraries. `views.py` folds and unfolds, `sentences.py` says
the steps, `drawing.py` places what is drawn, `arrays.py` makes numbers and heat maps, `listing.py`
finds the program. The rest is the page itself: template.html, page.css, arrays.js, drawing.js,
page.js.
"""

import html
import json
import string
from importlib import resources
from typing import Any

from funcnn.graph.graph import Graph
from funcnn.graph.page.arrays import Shelf
from funcnn.graph.page.listing import listing
from funcnn.graph.page.views import view, views_of
from funcnn.graph.svg import GRADIENT, VALUE

_SCRIPTS = ("arrays.js", "drawing.js", "page.js")


def to_html(graph: Graph, title: str | None = None) -> str:
    """The page of a graph.

    Args:
      graph: as `funcnn.graph.trace(fun)(*args)` gives it.
      title: the page's; the graph's, the function's name, where it is not given.

    Returns:
      the text of an HTML file that needs nothing else.

    >>> import jax.numpy as jnp
    >>> from funcnn import graph
    >>> text = to_html(graph.trace(lambda x, y: x * y)(2.0, 3.0), title="a product")
    >>> text.startswith("<!DOCTYPE html>"), "<title>a product</title>" in text
    (True, True)
    """
    title = title or graph.title
    shelf = Shelf()
    views, start = views_of(graph)
    files = listing(place for shown in views for node in shown for place in node.places)
    data = {
        "views": [view(shown, title, files, shelf) for shown in views],
        "start": start,
        "arrays": shelf.drawn,
        # a file's folder is nobody's business
        "files": [{"name": file["name"], "lines": file["lines"]} for file in files],
    }
    return _asset("template.html").substitute(
        title=html.escape(title),
        css=_asset("page.css").substitute(COLOURS),
        js='"use strict";\n{\n' + "\n".join(_text(name) for name in _SCRIPTS) + "\n}",
        data=_for_script(data),
    )


COLOURS = {
    "value": VALUE,
    "gradient": GRADIENT,
    "value_dark": "#56b4e9",
    "gradient_dark": "#f0a030",
}
"""Of forward values and of gradients, on white and on black: told apart by the colour-blind."""


def _short(data: Any) -> Any:
    """The data with its floats, which are places in a drawing, to a tenth of a pixel."""
    if isinstance(data, dict):
        return {name: _short(item) for name, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [_short(item) for item in data]
    return round(data, 1) if isinstance(data, float) else data


def _for_script(data: Any) -> str:
    """JSON that ends no script: a name may hold `</script>` or `<!--`."""
    text = json.dumps(_short(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _asset(name: str) -> string.Template:
    return string.Template(_text(name))
