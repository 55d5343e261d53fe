"""Figures as SVG elements that stand in a page, in its colours and under ids of their own."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stands for the page's own colour of text, which is another in dark mode.
INK = "#010203"
# Inches and points: on a phone a figure is as wide as the screen, and its letters are then of 9 pixels.
WIDTH = 4.6
POINTS = 8
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "bertmobile",
    # Text as text: it can be read aloud and searched, and needs no font but the reader's.
    "svg.fonttype": "none",
    # A dollar sign in a name is no formula.
    "text.parse_math": False,
    "font.size": POINTS,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# The same measurements draw the same bytes, and addresses of vocabularies have no place in the page.
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@dataclass(frozen=True)
class Plot:
    """A drawing for the page.

    Attributes:
        caption: what it shows.
        svg: an element without references to anything outside of it.
        key: what its numbers stand for, counted from 1; empty where it has none.
    """

    caption: str
    svg: str
    key: tuple[str, ...] = ()


def draw(paint: "Callable[[Axes], None]", height: float, identifier: str, description: str) -> str:
    """Paint on one pair of axes in the style of the page, whatever the reader's own settings are.

    Args:
        paint: puts everything on the axes.
        height: inches.
        identifier: begins all ids of the drawing, so that no two drawings of a page share one.
        description: for those who cannot see it.

    Returns:
        An SVG element without references to anything outside of it.
    """
    import matplotlib
    from matplotlib.figure import Figure

    file = StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A letter that our font lacks is drawn in one of the reader's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure.subplots())
        figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    return _element(file.getvalue(), identifier, description)


def _element(drawn: str, identifier: str, description: str) -> str:
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(drawn)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                value = f"{identifier}-{value}"
            elif name == f"{{{_XLINK}}}href":
                value = value.replace("#", f"#{identifier}-")
            else:
                value = value.replace("url(#", f"url(#{identifier}-").replace(INK, "currentColor")
            element.set(name, value)
        # matplotlib's style is meant for a file of its own: in a page it is everybody's.
        for style in element.findall(f"{{{_SVG}}}style"):
            element.remove(style)
    for name in ("width", "height"):
        del root.attrib[name]
    root.set("role", "img")
    root.set("aria-label", description)
    return ElementTree.tostring(root, encoding="unicode")
