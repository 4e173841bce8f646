"""Colours. Okabe and Ito's, with the yellow and the greys made darker or lighter so that each stands out from the
page, light or dark, and for eyes that tell no red from green. Lines also differ in their dashes and markers, so that no
figure depends on colour alone."""

LIGHT = ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#b58900", "#3aa6dd", "#000000", "#7a7a7a"]
DARK = ["#4db2f0", "#ff8b3d", "#2fd0a0", "#e58fc6", "#e8c547", "#9ad7ff", "#f2f2f2", "#a0a0a0"]
DASHES = [None, "7 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4", "6 2 1 2 1 2"]

PAGE_LIGHT = {"ink": "#1b1f24", "soft": "#59636e", "rule": "#d5dae0", "paper": "#ffffff", "panel": "#f6f7f9",
              "heat": "#0072b2", "idle": "#e4e8ec"}
PAGE_DARK = {"ink": "#e6e9ed", "soft": "#9aa4af", "rule": "#39424c", "paper": "#14181d", "panel": "#1c2127",
             "heat": "#4db2f0", "idle": "#2a3038"}

COLOURS = len(LIGHT)

SHAPES = """
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
.strong { font-weight: 600; } .soft { fill: var(--soft); } .small { font-size: 10.5px; }
.rule { stroke: var(--rule); stroke-width: 1; fill: none; } .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
.curve { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.band { fill: var(--c); opacity: .16; stroke: none; } .mark { fill: var(--c); stroke: var(--paper); stroke-width: 1; }
.fill { fill: var(--c); } .lane { fill: var(--idle); } .target { stroke: var(--ink); stroke-dasharray: 3 4; fill: none; }
.heat { fill: var(--heat); }
"""


def variables(dark: bool) -> str:
    colours = {f"s{index}": colour for index, colour in enumerate(DARK if dark else LIGHT)}
    return " ".join(f"--{name}: {value};" for name, value in {**(PAGE_DARK if dark else PAGE_LIGHT), **colours}.items())


def classes() -> str:
    return " ".join(f".c{index} {{ --c: var(--s{index}); }}" for index in range(COLOURS))


def standalone() -> str:
    """For an SVG that is a file of its own: it has no page to take colours from, and is made for white paper."""
    return f"svg {{ {variables(dark=False)} background: #ffffff; }} {classes()} {SHAPES}"
