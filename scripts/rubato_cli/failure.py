"""What can go wrong, and the exit code that says so (the numbers of base/result.h and the README)."""

import signal
from enum import IntEnum


PREFIX = "rubato: error: "  # of the line that says it


class ExitCode(IntEnum):
    OK = 0
    INTERNAL = 1
    USAGE = 2
    DATA = 3
    NETWORK = 4
    PEER_LOST = 5
    DIVERGED = 6
    DEVICE = 7
    STORAGE = 8
    REFUSED = 9
    MALFORMED = 10
    EVICTED = 11
    DIFFERS = 12
    MEMORY = 13
    INTERRUPTED = 130

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


class Failure(Exception):
    """Ends the launcher with one line on standard error; never shown as a traceback."""

    def __init__(self, message: str, code: int = ExitCode.USAGE):
        super().__init__(message)
        self.code = int(code)


def reason(error: Exception) -> str:
    """Why a file or folder was refused, as people say it: `permission denied`, without number or class."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return words[0].lower() + words[1:]


CRASHES = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}


def exit_code_of(return_code: int) -> int:
    """The exit code that stands for how a process ended; negative numbers are signals, as Python has them.

    A process that crashed has a bug; one that was killed is lost.
    """
    if return_code >= 0:
        return return_code
    return int(ExitCode.INTERNAL if -return_code in CRASHES else ExitCode.PEER_LOST)


def describe_end(return_code: int) -> str:
    """`was killed by SIGKILL`, or `ended with exit code 3 (data)`."""
    if return_code < 0:
        try:
            name = signal.Signals(-return_code).name
        except ValueError:
            name = f"signal {-return_code}"
        return f"was killed by {name}"
    words = code_words(return_code)
    return f"ended with exit code {return_code}" + (f" ({words})" if words else "")


def code_words(exit_code: int) -> str:
    """`peer lost`; nothing for a code that is none of ours."""
    try:
        return ExitCode(exit_code).words
    except ValueError:
        return ""
