"""SVG as text."""

from html import escape

LETTER, STRONG_LETTER, SMALL_LETTER = 7.4, 8.4, 6.5  # pixels
WIDE = 11.8 / LETTER  # times as wide: m and w


def number(value: float) -> str:
    """At most two decimals: a hundredth of a pixel is enough."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def tag(name: str, *children: str, **attributes) -> str:
    """tag("rect", x=1, stroke_width=2, class_="bar"): an underscore stands for a dash, one at the end for nothing."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{number(value) if isinstance(value, float) else escape(str(value))}"'
        for key, value in attributes.items() if value is not None)
    return f"<{name}{words}>{''.join(children)}</{name}>" if children else f"<{name}{words}/>"


def words(text: str, x: float, y: float, **attributes) -> str:
    return tag("text", escape(text), x=float(x), y=float(y), **attributes)


def width_of(text: str, letter: float = LETTER) -> float:
    """About what it takes in DejaVu Sans, the widest of the fonts that a page may find."""
    return sum(WIDE * letter if character in "mwMW" else letter for character in text)


def path(points: list[tuple[float, float]], close: bool = False) -> str:
    return "M" + "L".join(f"{number(x)},{number(y)}" for x, y in points) + ("Z" if close else "")


def document(body: str, width: float, height: float, label: str, style: str = "") -> str:
    head = f"<style>{style}</style>" if style else ""
    return tag("svg", head + body, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {number(width)} {number(height)}",
               width=number(width), height=number(height), role="img", aria_label=label)
