"""What the processes of a run wrote of their steps (base/timeline.h)."""

import json
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import letters

LOOP = "loop"


@dataclass(frozen=True)
class Span:
    """Something that a thread did. Times are nanoseconds."""

    lane: str
    what: str
    clock: int
    begin: int
    end: int
    of: str = ""
    slice: int | None = None
    peer: str = "scheduler"
    applied: bool = False


@dataclass
class Part:
    """One process. `clock` names the clock of its times: of the start of its host."""

    node: str
    clock: str
    first: int
    steps: int
    left_out: int
    slices: list[str]
    spans: list[Span] = field(default_factory=list)

    @property
    def role(self) -> str:
        return self.node.split("-")[0]

    @property
    def shards(self) -> list[str]:
        """The lanes of shards that have threads of their own: then the loop only hands messages over to them."""
        return sorted({span.lane for span in self.spans} - {LOOP}) if self.role == "server" else []

    def hands_over(self, span: Span) -> bool:
        return span.lane == LOOP and span.what == "received" and span.of in ("push", "pull", "commit") and bool(self.shards)

    def shifted(self, by: int) -> "Part":
        return replace(self, spans=[replace(span, begin=span.begin + by, end=span.end + by) for span in self.spans])


def read(run_dir: Path) -> tuple[list[Part], list[str]]:
    """The processes of a run, with the steps that are looked at; and what could not be read, a line for each file."""
    parts, warnings = _read_all(run_dir / "timeline")
    return _looked_at(parts, _wanted(run_dir)), warnings


def _wanted(run_dir: Path) -> int | None:
    """So many steps the job was to draw; None: nobody knows."""
    try:
        return int(tomllib.loads((run_dir / "job.toml").read_text())["train"]["timeline"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _looked_at(parts: list[Part], wanted: int | None) -> list[Part]:
    """Of a job whose length is in epochs the processes keep the first steps too, and so many behind them as are wanted: it
    may not have as many. Its last ones are looked at then, as in one whose length is in steps (base/timeline.h)."""
    workers = [part for part in parts if part.role == "worker"]
    full = any(part.left_out for part in workers)  # whose lane of steps may end before the job does
    did = [span.clock + 1 for part in workers for span in part.spans if full or span.what == "step"]
    looked_at = []
    for part in parts:
        steps = part.steps if wanted is None else min(wanted, part.steps)
        first = min(part.first + part.steps - steps, max(part.first, max(did, default=0) - steps))
        spans = [span for span in part.spans if first <= span.clock < first + steps]
        looked_at.append(replace(part, first=first, steps=steps, spans=spans))
    return looked_at


def _read_all(folder: Path) -> tuple[list[Part], list[str]]:
    """Workers first, then servers, then the scheduler."""
    order = {"worker": 0, "server": 1, "scheduler": 2}
    parts, warnings = [], []
    for path in sorted(folder.glob("*.jsonl")):
        part, warning = _read_one(path)
        if part is not None:
            parts.append(part)
        if warning:
            warnings.append(warning)
    return sorted(parts, key=lambda part: (order.get(part.role, len(order)), len(part.node), part.node)), warnings


def _read_one(path: Path) -> tuple[Part | None, str]:
    """A process that was killed, or whose disk was full, leaves a file that ends anywhere: what is whole is kept."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        return None, f"{path}: {error.strerror}: its process is left out"
    if not lines:
        return None, f"{path}:1: it is empty (a full disk?): its process is left out"
    try:
        about = json.loads(lines[0])
        about.pop("lanes")
        part = Part(**about)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, f"{path}:1: cut off or damaged (a full disk?): its process is left out"
    for number, line in enumerate(lines[1:], 2):
        try:
            part.spans.append(Span(**json.loads(line)))
        except (ValueError, TypeError):
            return part, f"{path}:{number}: cut off or damaged (a full disk?): this line and what follows it are left out"
    return part, ""


def on_one_clock(parts: list[Part]) -> list[Part]:
    """Hosts' clocks begin when the hosts do. Those of another host are shifted so that the fastest message there and the
    fastest message back took equally long, as NTP does it (Mills, RFC 5905); parts of a host that exchanged no messages
    with the others in these steps are left out."""
    if not parts:
        return []
    delays = letters.fastest(parts)
    shifts = {parts[0].clock: 0}
    while True:
        found = {
            there: shifts[here] + (delays[there, here] - delay) // 2
            for (here, there), delay in delays.items()
            if here in shifts and there not in shifts and (there, here) in delays
        }
        if not found:
            break
        shifts |= found
    return [part.shifted(shifts[part.clock]) for part in parts if part.clock in shifts]
