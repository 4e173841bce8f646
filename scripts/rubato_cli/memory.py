"""What a job will take of memory, told before it starts."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from .text import size

PATIENCE_S = 10.0
SMALL = 0.01  # of the whole: not named in the line


class Row(NamedTuple):
    what: str
    octets: int
    at_most: bool  # it may be less, or nothing
    on_gpu: bool = False  # and not on the host


def parse_rows(said: str) -> list[Row]:
    """What `rubato-sim --memory` prints."""
    words = (line.split(maxsplit=2) for line in said.splitlines())
    return [Row(what, int(octets), kind == "at-most", kind == "on-gpu") for octets, kind, what in words]


def memory_lines(estimate: subprocess.Popen | None, available: int | None) -> list[str]:
    """Each thing with its size; and whether it is more than this host has to spare. Nothing where no estimate could be
    made: then the job has worse to say."""
    if estimate is None:
        return []
    try:
        said, _ = estimate.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return [f"note: within {PATIENCE_S:g} s nobody could say what memory the job will take"]
    everywhere = parse_rows(said) if estimate.returncode == 0 else []
    if not everywhere:
        return []
    rows = [row for row in everywhere if not row.on_gpu]
    sure = sum(row.octets for row in rows if not row.at_most)
    most = sum(row.octets for row in rows)
    named = [row for row in rows if row.octets >= SMALL * most]
    parts = [f"{row.what} {'up to ' if row.at_most else ''}{size(row.octets)}" for row in named]
    if rest := most - sum(row.octets for row in named):
        parts.append(f"others {size(rest)}")
    lines = [f"memory: {size(sure)}{f' to {size(most)}' if most > sure else ''}: {', '.join(parts)}"]
    if available is not None and sure > available:
        lines.append(f"warning: this host has {size(available)} of memory to spare; the job will want {size(sure)}")
    lines += [f"memory of GPUs: {row.what} {size(row.octets)}" for row in everywhere if row.on_gpu]
    return lines


def available_octets(path: Path = Path("/proc/meminfo")) -> int | None:
    """What this host could give, as its kernel reckons."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
