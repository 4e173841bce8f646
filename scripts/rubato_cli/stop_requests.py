"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal), counted: the first drains the job, the second kills it.

`timeout` signals a process and then its group; a terminal that closes hangs up and terminates. What comes so soon
is the same request. What was ignored before stays so: SIGHUP under nohup, SIGINT behind the `&` of a script.
"""

import signal
import time

from .failure import ExitCode, Failure

SAME_REQUEST_S = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Counts from entering to leaving the `with`; the loops of the launcher look at `count` every tick."""

    def __init__(self):
        self.count = 0
        self._last = float("-inf")
        self._previous = {}

    def __enter__(self) -> "StopRequests":
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, _number, _frame) -> None:
        now = time.monotonic()
        if now - self._last > SAME_REQUEST_S:
            self.count += 1
        self._last = now

    def check(self) -> None:
        """For the time before there is a job to drain: gives up."""
        if self.count:
            raise Failure("interrupted", ExitCode.INTERRUPTED)
