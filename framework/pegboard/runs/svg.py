"""Drawing with matplotlib, and its SVG made fit to stand inside a page.

Text stays text in the page's own font; colours are the page's variables, so that they follow light and dark; ids are
unique to a figure, and nothing refers to anything outside.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Inches; a unit of the drawing is 1/72 inch, and on a phone about a pixel.
WIDTH = 5.0
#: Colours that stand for the page's variables until matplotlib is done.
INK, MUTED, GRID, SERIES, ACCENT = (f"#0{number}0{number}0{number}" for number in range(1, 6))
PALETTE = tuple(f"#1{number}1{number}1{number}" for number in range(8))
_VARIABLES = dict(zip((INK, MUTED, GRID, SERIES, ACCENT), ("ink", "muted", "grid", "series", "accent"), strict=True))
_VARIABLES |= {colour: f"series-{number}" for number, colour in enumerate(PALETTE)}

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pegboard",
    "text.parse_math": False,  # a column may be called "price [$] per area [$]"
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "font.size": 10.0,
}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_DECIMALS = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FONT = re.compile(r"font-family:[^;]*")


def drawn(name: str, title: str, height: float, draw: Callable[[Axes], None]) -> str:
    """Return what ``draw`` puts on a pair of axes, as an SVG element; ``name`` goes in front of its ids.

    ``height`` is in inches; ``title`` says what there is to see, for those who do not see it.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fonts that lack a glyph: the page's own will do
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.subplots())
        written = io.BytesIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=metadata)
    return _inline(ElementTree.fromstring(written.getvalue()), name, title)  # noqa: S314 - our own


def label(text: object, longest: int = 30) -> str:
    """Return a text that may stand in a drawing: printable, and not too long."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _inline(root: ElementTree.Element, name: str, title: str) -> str:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: _value(key, text, name) for key, text in element.attrib.items()}
    for parent in root.iter():
        for child in [c for c in parent if c.tag in ("metadata", "style")]:
            parent.remove(child)
        _share_style(parent)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    _drop_ids(root)
    return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))


def _value(key: str, text: str, name: str) -> str:
    if key == "id":
        return f"{name}-{text}"
    if key.endswith("href"):
        return f"#{name}-{text[1:]}"
    text = _REFERENCE.sub(rf"url(#{name}-\1)", text)
    text = _COLOUR.sub(lambda found: f"var(--{_VARIABLES[found[0]]})" if found[0] in _VARIABLES else found[0], text)
    text = _FONT.sub("font-family: inherit", text)
    return _DECIMALS.sub(lambda found: f"{float(found[0]):.4g}", " ".join(text.split()))


def _share_style(parent: ElementTree.Element) -> None:
    """Say once what all of a group's points look like."""
    points = [child for child in parent if child.tag == "use"]
    styles = {point.attrib.get("style", "") for point in points}
    if len(points) > 1 and len(styles) == 1:
        parent.set("style", styles.pop())
        for point in points:
            del point.attrib["style"]


def _drop_ids(root: ElementTree.Element) -> None:
    """Keep only the ids that something in the drawing refers to."""
    texts = [text for element in root.iter() for key, text in element.attrib.items() if key != "id"]
    used = {text[1:] for text in texts if text.startswith("#")} | set(_REFERENCE.findall(" ".join(texts)))
    for element in root.iter():
        if element.attrib.get("id") not in used:
            element.attrib.pop("id", None)
