"""What memory a job may take here: of the machine, of the control group that its processes are in (a container's limit),
and of one process (ulimit -v)."""

import resource
from dataclasses import dataclass
from pathlib import Path

from .failure import ExitCode, Failure
from .text import size

# A process maps so much before it holds anything: its code, libraries and stacks (docs/performance.md#memory). With less it
# is a library that cannot go on, and aborts.
PROGRAM_ADDRESSES = 160 << 20


@dataclass(frozen=True)
class Room:
    """Octets; None: nobody knows, or there is no limit."""

    available: int | None = None  # for all processes together, as it looks now, and without any swapping
    total: int | None = None  # the same, if nobody else took any, with swap
    where: str = "this host"  # that has those
    process: int | None = None  # addresses of one process

    @staticmethod
    def here(root: Path = Path("/")) -> "Room":
        host = host_room(root)
        rooms = [host, *group_rooms(root, host.swap)]
        available = [room.available for room in rooms if room.available is not None]
        narrowest = min((room for room in rooms if room.total is not None), key=lambda room: room.total, default=host)
        return Room(min(available, default=None), narrowest.total, narrowest.where, process_limit())


@dataclass(frozen=True)
class _Part:
    where: str
    available: int | None
    total: int | None
    swap: int = 0


def process_limit() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def refuse_small_processes() -> None:
    """Where a program could not even start, it would say so in a way that nobody understands."""
    limit = process_limit()
    if limit is not None and limit < PROGRAM_ADDRESSES:
        raise Failure(f"not enough memory: a process may take {size(limit)} in all (ulimit -v), and one that has nothing to "
                      f"compute yet takes {size(PROGRAM_ADDRESSES)}: raise the limit", ExitCode.MEMORY)


def host_room(root: Path) -> _Part:
    """As its kernel reckons."""
    numbers = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, value = line.partition(":")
        if value.split():
            numbers[name] = int(value.split()[0]) * 1024
    swap = numbers.get("SwapTotal", 0)
    memory, available = numbers.get("MemTotal"), numbers.get("MemAvailable")
    return _Part("this host", available, None if memory is None else memory + swap, swap)


def group_rooms(root: Path, host_swap: int) -> list[_Part]:
    """Of every control group around this process that has a limit: of version 2, and of version 1."""
    rooms = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            mount, names = "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        elif controllers == "":
            mount, names = "sys/fs/cgroup", ("memory.max", "memory.current")
        else:
            continue
        parts = Path(path.lstrip("/")).parts
        for depth in range(len(parts), -1, -1):
            room = _group_room(root.joinpath(mount, *parts[:depth]), names, host_swap)
            rooms += [room] if room else []
    return rooms


def _group_room(folder: Path, names: tuple[str, str], host_swap: int) -> _Part | None:
    limit, usage = (_number(folder / name) for name in names)
    if limit is None:
        return None
    swap = _number(folder / "memory.swap.max")
    swap = host_swap if swap is None else min(swap, host_swap)
    # Files that the system has read ahead or kept are given up first.
    kept = next((int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.startswith("inactive_file ")), 0)
    available = None if usage is None else max(0, limit - usage + kept)
    return _Part("the control group of this process", available, limit + swap)


def _number(path: Path) -> int | None:
    """"max" is no number, and none is there where there is no limit."""
    words = " ".join(_lines(path)).split()
    return int(words[0]) if words and words[0].isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
