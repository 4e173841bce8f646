"""How far a grid of runs is: a bar on a terminal, a line for each run elsewhere."""

import os
import shutil
import sys
import time

from rubato_cli import text
from rubato_cli.progress import ERASE_BELOW, Quiet

from .grid import Cell

BAR_WIDTH = 24
REDRAW_S = 0.2


class GridProgress(Quiet):
    def __init__(self, out=sys.stdout, live: bool | None = None):
        super().__init__(out)
        self._live = out.isatty() and os.environ.get("TERM") != "dumb" if live is None else live
        self._total = self._finished = self._failed = 0
        self._took: list[float] = []
        self._started = time.monotonic()
        self._jobs = 1
        self._next = 0.0

    def begin(self, total: int, cached_took: list[float], jobs: int) -> None:
        self._total, self._jobs, self._finished = total, jobs, len(cached_took)
        self._took = [took for took in cached_took if took > 0]
        if cached_took:
            self.say(f"{len(cached_took)} of {total} runs are there already")

    def say(self, line: str) -> None:
        super().say(("\r" + ERASE_BELOW if self._live else "") + line)

    def done(self, cell: Cell, took_s: float) -> None:
        self._took.append(took_s)
        self._finished += 1
        self._tell(f"{cell.words}: {text.duration(took_s)}")

    def failed(self, cell: Cell, cause: str) -> None:
        self._failed += 1
        self._finished += 1
        self.say(f"[{self._finished}/{self._total}] {cell.words}: FAILED: {cause}")

    def stopped(self) -> str:
        made = self._finished - self._failed
        self._clear()
        return f"stopped with {made} of {self._total} runs done; the same command goes on from here"

    def update(self, running: list[Cell]) -> None:
        if not self._live or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REDRAW_S
        full = round(BAR_WIDTH * self._finished / max(1, self._total))
        left = self._left_s()
        words = f"{'#' * full}{'-' * (BAR_WIDTH - full)}  {self._finished}/{self._total} runs"
        words += f", {text.duration(time.monotonic() - self._started)}"
        words += f", about {text.duration(left)} left" if left else ""
        words += f"  ({'; '.join(cell.words for cell in running)})" if running else ""
        self._write("\r" + ERASE_BELOW + text.shortened(words, shutil.get_terminal_size().columns - 1))

    def close(self) -> None:
        self._clear()

    def _tell(self, line: str) -> None:
        left = self._left_s()
        rest = f", about {text.duration(left)} left" if left and self._finished < self._total else ""
        self.say(f"[{self._finished}/{self._total}] {line}{rest}")

    def _left_s(self) -> float | None:
        """Runs are alike, and several go on at once."""
        if not self._took:
            return None
        return sum(self._took) / len(self._took) * (self._total - self._finished) / self._jobs

    def _clear(self) -> None:
        if self._live:
            self._write("\r" + ERASE_BELOW)
