"""report.html: the whole comparison in one file that opens without a network; and each figure as an SVG beside it."""

import json
from html import escape
from pathlib import Path

from . import comparison_table
from .charts import style
from .charts.figure import Figure
from .comparison import Comparison
from .figures import figures
from .files import write_whole
from .verdict_words import paragraph

PAGE = Path(__file__).resolve().parent / "page"
LEFT_COLUMNS = 2  # of the table: names, not numbers
LARGEST = 1.15  # of small charts, however wide the page


def write_report(comparison: Comparison, folder: Path, job: Path, command: str) -> Path:
    sections = {stragglers: figures(comparison, stragglers) for stragglers in comparison.stragglers}
    for drawn in sections.values():
        for figure in drawn:
            write_whole(folder / "figures" / f"{figure.id}.svg", figure.file)
    write_whole(folder / "report.html", _page(comparison, sections, job, command))
    return folder / "report.html"


def _page(comparison: Comparison, sections: dict[str, list[Figure]], job: Path, command: str) -> str:
    title = f"{job.stem}: {'; '.join(contender.name for contender in comparison.contenders)}"
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft"><code>{escape(command)}</code></p>']
    if not comparison.comparable:
        parts.append('<p class="warn">More workers and servers than processors: the times of these runs are not '
                     "comparable. Accuracy against updates, ages and losses are.</p>")
    parts += ["<h2>What came out</h2>"]
    parts += [f"<p>{escape(paragraph(comparison, stragglers))}</p>" for stragglers in sections]
    parts += [_table(comparison), _notes(comparison), _failures(comparison), _tabs(sections)]
    for index, (stragglers, drawn) in enumerate(sections.items()):
        parts.append(_section(index, stragglers, drawn))
    parts.append(_jobs(comparison))
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{_styles()}
</style>
</head>
<body>
<main>
{body}
</main>
<script>
{(PAGE / "report.js").read_text()}
</script>
</body>
</html>
"""


def _styles() -> str:
    return "\n".join([
        f":root {{ {style.variables(dark=False)} }}",
        f"@media (prefers-color-scheme: dark) {{ :root {{ {style.variables(dark=True)} }} }}",
        style.classes(), style.SHAPES, (PAGE / "report.css").read_text()])


def _table(comparison: Comparison) -> str:
    headings, rows = comparison_table.rows(comparison)
    kind = [' class="left"' if index < LEFT_COLUMNS else "" for index in range(len(headings))]
    head = "".join(f"<th{css}>{escape(cell)}</th>" for css, cell in zip(kind, headings))
    colours = {contender.name: index % style.COLOURS for index, contender in enumerate(comparison.contenders)}
    body, before = [], None
    for row in rows:
        cells = [escape(cell) for cell in row]
        cells[1] = f'<span class="dot c{colours[row[1]]}"></span>{cells[1]}'
        first = ' class="first"' if row[0] != before else ""
        before = row[0]
        body.append(f"<tr{first}>" + "".join(f"<td{css}>{cell}</td>" for css, cell in zip(kind, cells)) + "</tr>")
    return f'<div class="wide"><table id="table"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _notes(comparison: Comparison) -> str:
    return '<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in comparison_table.notes(comparison)) + "</ul>"


def _failures(comparison: Comparison) -> str:
    failed = [outcome for outcome in comparison.tuning.outcomes + comparison.outcomes if outcome.failure]
    lines = "".join(f"<li>{escape(outcome.cell.words)}: {escape(outcome.failure)}</li>" for outcome in failed)
    return f"<h3>Runs that failed</h3><ul>{lines}</ul>" if failed else ""


def _tabs(sections: dict) -> str:
    buttons = "".join(f'<button role="tab" data-section="section-{index}">{_name(stragglers)}</button>'
                      for index, stragglers in enumerate(sections))
    return f'<div class="tabs" role="tablist">{buttons}</div>' if len(sections) > 1 else ""


def _name(stragglers: str) -> str:
    return "no stragglers" if stragglers == "none" else escape(stragglers)


def _section(index: int, stragglers: str, drawn: list[Figure]) -> str:
    curves = "".join(_figure(figure) for figure in drawn if figure.data["kind"] == "lines")
    others = "".join(_figure(figure) for figure in drawn if figure.data["kind"] != "lines")
    return (f'<section id="section-{index}"><h2>{_name(stragglers)}</h2><div class="pair">{curves}</div>'
            f"{others}</section>")


def _figure(figure: Figure) -> str:
    wide = "" if figure.data["kind"] == "lines" else f' class="sideways" style="--largest: {LARGEST * figure.width:.0f}px"'
    # A closing tag inside the data would end the script element.
    data = json.dumps(figure.data).replace("</", "<\\/")
    return (f'<figure id="{figure.id}"{wide}><figcaption>{escape(figure.title)}</figcaption><div class="wide">{figure.inline}'
            f'</div><script type="application/json" id="data-{figure.id}">{data}</script></figure>\n')


def _jobs(comparison: Comparison) -> str:
    """Of each contender, under each kind of stragglers, the resolved job of the first seed."""
    parts = ["<h2>Resolved jobs</h2>", '<p class="soft">Of each, the first seed; the others differ in <code>train.seed</code> '
             "alone.</p>"]
    for group in comparison.groups:
        done = next((outcome for outcome in group.outcomes if not outcome.failure), None)
        if done is not None:
            text = (done.run_dir / "job.toml").read_text()
            name = escape(done.cell.words.rpartition(", seed")[0])
            parts.append(f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>")
    return "\n".join(parts)
