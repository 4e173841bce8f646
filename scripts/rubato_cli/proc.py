"""What Linux says of processes, in /proc, and tells them."""

import ctypes
import os
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def process_state(pid: int) -> str | None:
    """The letter that `ps` shows: R and S live, T is stopped, Z has ended. None where there is no such process."""
    fields = _fields(pid)
    return fields[0] if fields else None


def process_exists(pid: int, born_before: float | None = None) -> bool:
    """Whether this process lives; not another that was given its number after `born_before` (seconds since 1970)."""
    fields = _fields(pid)
    if not fields or fields[0] in "ZX":
        return False
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    born = int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return born_before is None or born < born_before + 2.0  # btime is rounded


def program_of(pid: int) -> str:
    """What it was started as, with its arguments; empty where nobody may know."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def with_parent_death_signal(number: int, ignored: tuple[int, ...] = ()):
    """For Popen's preexec_fn: the process gets this signal when the one that starts it has ended, however it ended;
    ignores those; and ends when it is asked to, whatever the one that starts it ignores."""
    def prepare() -> None:
        LIBC.prctl(PR_SET_PDEATHSIG, int(number))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for other in ignored:
            signal.signal(other, signal.SIG_IGN)
    return prepare


def _fields(pid: int) -> list[str]:
    """The fields behind the name, which may hold anything in its brackets: the state is 3 in proc(5), the time of
    birth, in ticks, 22."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
