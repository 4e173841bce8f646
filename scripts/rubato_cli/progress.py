"""Shows how a job fares on standard output: one display for all of its processes.

Three ways of doing it with the same two calls: `update` with a fresh status, `say` for a line that
stays. A terminal gets a block that is redrawn in place below the lines that stay; a pipe gets plain
lines; with --no-progress only the lines that stay are shown.
"""

import os
import shutil
import sys
import time

from . import progress_lines, text

# A pipe gets a line about every 2 s, later one each time a thirtieth of the job's age has passed.
PLAIN_INTERVAL_S = 2.0
PLAIN_INTERVAL_SHARE = 1 / 30

BAR_WIDTH_MIN, BAR_WIDTH_MAX = 6, 24
ERASE_BELOW, ERASE_REST = "\x1b[J", "\x1b[K"
DIM, PLAIN, BOLD = "\x1b[2m", "\x1b[0m", "\x1b[1m"


class Quiet:
    """Only the lines that stay."""

    def __init__(self, out):
        self._out = out

    def update(self, status: dict) -> None:
        pass

    def say(self, line: str) -> None:
        self._write(line + "\n")

    def close(self) -> None:
        pass

    def _write(self, data: str) -> None:
        # The reader may have gone (`| head`), the terminal closed: the job goes on without it.
        try:
            self._out.write(data)
            self._out.flush()
        except (OSError, ValueError):
            pass


class Lines(Quiet):
    """Plain lines, for pipes and files."""

    def __init__(self, out):
        super().__init__(out)
        self._started = time.monotonic()
        self._next = 0.0
        self._shown = None

    def update(self, status: dict) -> None:
        if status.get("state") in ("failed", "interrupted"):
            return  # why, is said by others; how far it had come, by the lines before
        age = time.monotonic() - self._started
        phase = (status.get("state"), status.get("epoch"), tuple(status.get("missing") or ()))
        if age < self._next and phase == self._shown:
            return
        self._shown = phase
        self._next = age + max(PLAIN_INTERVAL_S, age * PLAIN_INTERVAL_SHARE)
        self.say(f"{text.duration(age):>10}  {progress_lines.headline(status)}")


class Block(Quiet):
    """A bar, and where the terminal is tall enough a line for each worker, redrawn in place."""

    def __init__(self, out):
        super().__init__(out)
        self._lines: list[tuple[str, str]] = []
        self._drawn: list[int] = []  # how long the lines on the screen are
        encoding = (getattr(out, "encoding", "") or "").lower()
        self._bar = ("━", "─") if encoding.startswith("utf") else ("#", "-")
        self._styled = "NO_COLOR" not in os.environ

    def update(self, status: dict) -> None:
        size = shutil.get_terminal_size()
        # Never the last column: a full line would wrap, and the block could not be redrawn in place.
        width = size.columns - 1
        workers = progress_lines.worker_lines(status, size.lines - 6, width - len("  "))
        headline = progress_lines.headline(status)
        bar_width = min(BAR_WIDTH_MAX, size.columns // 6, width - len(headline) - 2)
        bar = progress_lines.bar(status, *self._bar, bar_width) + "  " if bar_width >= BAR_WIDTH_MIN else ""
        head = bar + headline
        self._lines = [(BOLD, text.shortened(head, width))]
        self._lines += [(DIM, text.shortened("  " + line, width)) for line in workers]
        self._redraw("")

    def say(self, line: str) -> None:
        self._redraw(line + "\n")

    def close(self) -> None:
        self._lines = []
        self._redraw("")

    def _redraw(self, above: str) -> None:
        # A terminal that has become narrower has wrapped them.
        columns = shutil.get_terminal_size().columns
        rows = sum(1 + max(0, length - 1) // columns for length in self._drawn)
        up = f"\x1b[{rows}A\r" if rows else "\r"
        # Line by line, and what is below at the end: tmux keeps a screen that is erased from its top in its history, so
        # that each frame would stay. Behind a full row the cursor has not gone on, and would erase its last letter.
        lines = [line + (ERASE_REST if not line or len(line) % columns else "") for line in above.splitlines()]
        lines += [self._style(style, line) + ERASE_REST for style, line in self._lines]
        self._drawn = [len(line) for _, line in self._lines]
        self._write(up + "".join(line + "\n" for line in lines) + ERASE_BELOW)

    def _style(self, style: str, line: str) -> str:
        return style + line + PLAIN if self._styled else line


def make_progress(wanted: bool) -> Quiet:
    if not wanted:
        return Quiet(sys.stdout)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Block(sys.stdout)
    return Lines(sys.stdout)
