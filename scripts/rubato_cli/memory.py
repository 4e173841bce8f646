"""What a job will take of memory, told before it starts; where it is certain that there is less, the job is refused."""

import subprocess
from typing import NamedTuple

from .failure import ExitCode, Failure
from .room import PROGRAM_ADDRESSES, Room
from .text import size

PATIENCE_S = 10.0
SMALL = 0.01  # of the whole: not named in the line
REMEDY = "use a smaller model, smaller batches, fewer workers on this host, or more hosts"


class Row(NamedTuple):
    what: str
    octets: int
    kind: str  # all, at-most: it may be less, or nothing; on-gpu: not on the host; in-one: at least, in a single process

    @property
    def at_most(self) -> bool:
        return self.kind == "at-most"


def parse_rows(said: str) -> list[Row]:
    """What `rubato-sim --memory` prints."""
    words = (line.split(maxsplit=2) for line in said.splitlines())
    return [Row(what, int(octets), kind) for octets, kind, what in words]


def on_host(rows: list[Row]) -> list[Row]:
    """Of all processes together."""
    return [row for row in rows if row.kind in ("all", "at-most")]


class Forecast:
    """What the program that estimates it says, which may take a moment, beside what there is. Nothing where no estimate
    could be made: then the job has worse to say."""

    def __init__(self, estimate: subprocess.Popen | None, room: Room):
        self.room = room
        self._estimate = estimate
        self._rows: list[Row] | None = None
        self._late = False

    def refuse_what_cannot_be(self) -> None:
        """Waits for the estimate. A Failure where the job would end for want of memory, whatever comes."""
        for row in self._all_rows():
            limit = self.room.process
            if row.kind == "in-one" and limit is not None and row.octets + PROGRAM_ADDRESSES > limit:
                raise Failure(f"not enough memory: {row.what} alone take {size(row.octets)}, in one process, beside "
                              f"{size(PROGRAM_ADDRESSES)} for itself, and it may take {size(limit)} in all (ulimit -v): raise "
                              f"that, or {REMEDY}", ExitCode.MEMORY)
        sure, _ = self._bounds()
        if self.room.total is not None and sure > self.room.total:
            raise Failure(f"not enough memory: the job takes {size(sure)} at least, and {self.room.where} has "
                          f"{size(self.room.total)} in all, used or not: {REMEDY}", ExitCode.MEMORY)

    def lines(self) -> list[str]:
        """Each thing with its size; and whether it is, or may be, more than there is to spare."""
        rows = on_host(self._all_rows())
        if self._late:
            return [f"note: within {PATIENCE_S:g} s nobody could say what memory the job will take"]
        if not rows:
            return []
        sure, most = self._bounds()
        named = [row for row in rows if row.octets >= SMALL * most]
        parts = [f"{row.what} {'up to ' if row.at_most else ''}{size(row.octets)}" for row in named]
        if rest := most - sum(row.octets for row in named):
            parts.append(f"others {size(rest)}")
        lines = [f"memory: {size(sure)}{f' to {size(most)}' if most > sure else ''}: {', '.join(parts)}"]
        return lines + self._warnings(sure, most) + [f"memory of GPUs: {row.what} {size(row.octets)}"
                                                     for row in self._all_rows() if row.kind == "on-gpu"]

    def _warnings(self, sure: int, most: int) -> list[str]:
        spare = self.room.available
        if spare is None or most <= spare:
            return []
        if sure > spare:
            return [f"warning: {self.room.where} has {size(spare)} of memory to spare; the job will want {size(sure)}"]
        if (sure + most) / 2 <= spare:
            return [f"note: {self.room.where} has {size(spare)} of memory to spare; should everything that it may want come at "
                    f"once, the job would take {size(most)}"]
        return [f"warning: the job may not fit: {self.room.where} has {size(spare)} of memory to spare, and it may want up "
                f"to {size(most)}"]

    def _bounds(self) -> tuple[int, int]:
        rows = on_host(self._all_rows())
        return sum(row.octets for row in rows if not row.at_most), sum(row.octets for row in rows)

    def _all_rows(self) -> list[Row]:
        if self._rows is None:
            self._rows = self._hear()
        return self._rows

    def _hear(self) -> list[Row]:
        if self._estimate is None:
            return []
        try:
            said, _ = self._estimate.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._late = True
            return []
        return parse_rows(said) if self._estimate.returncode == 0 else []
