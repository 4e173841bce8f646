"""Who waited for whom, in all: a square for each mode, a row for each worker that waited, a column for each that it
waited for. The darker, the larger the part of the run."""

from dataclasses import dataclass

from .figure import Figure
from .scale import arranged, columns_of
from .svg import SMALL_LETTER, STRONG_LETTER, tag, width_of, words

SIDE, LEFT, TOP, GAP, EDGE = 176, 30, 52, 26, 6
WORKERS_MAX, WRITTEN_MAX = 32, 8


@dataclass(frozen=True)
class Matrix:
    """`seconds` by (who waited, for whom); `run_s`: how long the run took; `note`: what else workers had no work for."""

    name: str
    workers: list[str]
    seconds: dict[tuple[str, str], float]
    run_s: float
    note: str = ""


def matrix_chart(id_: str, title: str, matrices: list[Matrix]) -> Figure:
    names = [LEFT + width_of(matrix.name, STRONG_LETTER) + 10 for matrix in matrices]
    notes = [EDGE + width_of(matrix.note, SMALL_LETTER) + 10 for matrix in matrices]
    width, height = max([LEFT + SIDE + GAP, *names, *notes]), TOP + SIDE + 34
    columns, rows = arranged(len(matrices), columns_of(width))
    parts = [tag("g", _square(matrix), transform=f"translate({column * width} {row * height})")
             for index, matrix in enumerate(matrices) for row, column in [divmod(index, columns)]]
    data = {"kind": "matrix", "title": title,
            "matrices": [{"name": matrix.name, "run_s": matrix.run_s, "note": matrix.note,
                          "seconds": [[*pair, value] for pair, value in sorted(matrix.seconds.items())]}
                         for matrix in matrices]}
    return Figure(id_, title, "".join(parts), columns * width, rows * height, data)


def _square(matrix: Matrix) -> str:
    shown = matrix.workers[:WORKERS_MAX]
    cell = SIDE / max(1, len(shown))
    parts = [words(matrix.name, LEFT, 14, class_="strong"),
             words("for worker", LEFT + SIDE / 2, TOP - 20, text_anchor="middle", class_="small soft"),
             words("worker", 12, TOP + SIDE / 2, text_anchor="middle", class_="small soft",
                   transform=f"rotate(-90 12 {TOP + SIDE / 2:.0f})")]
    parts.append(words(matrix.note, EDGE, TOP + SIDE + 16, class_="small soft"))
    every = 1 if len(shown) <= 12 else 4
    for index, worker in enumerate(shown):
        if index % every == 0:
            rank, middle = worker.rsplit("-", 1)[1], (index + 0.5) * cell
            parts.append(words(rank, LEFT + middle, TOP - 6, text_anchor="middle", class_="small soft"))
            parts.append(words(rank, LEFT - 5, TOP + middle + 4, text_anchor="end", class_="small soft"))
    for row, waiting in enumerate(shown):
        for column, culprit in enumerate(shown):
            parts.append(_cell(matrix, waiting, culprit, LEFT + column * cell, TOP + row * cell, cell))
    if not any(matrix.seconds.values()):
        parts.append(words("nobody for anybody", LEFT + SIDE / 2, TOP + SIDE / 2, text_anchor="middle"))
    return "".join(parts)


def _cell(matrix: Matrix, waiting: str, culprit: str, x: float, y: float, side: float) -> str:
    seconds = matrix.seconds.get((waiting, culprit), 0.0)
    share = min(1.0, seconds / matrix.run_s) if matrix.run_s else 0.0
    tip = f"{matrix.name}: {waiting} waited {seconds:.2f} s for {culprit}, {100 * share:.1f}% of the run"
    parts = [tag("rect", x=x, y=y, width=side - 1, height=side - 1, class_="lane", data_tip=tip)]
    if share > 0:
        parts.append(tag("rect", x=x, y=y, width=side - 1, height=side - 1, class_="heat",
                         opacity=float(max(0.06, share)), data_tip=tip))
    if len(matrix.workers) <= WRITTEN_MAX and share >= 0.005:
        parts.append(words(f"{100 * share:.0f}", x + side / 2, y + side / 2 + 4, text_anchor="middle", class_="small",
                           pointer_events="none"))
    return "".join(parts)
