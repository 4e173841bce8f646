"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal), counted: the first drains the job, the second kills it."""

import signal

from .failure import ExitCode, Failure

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Counts from entering to leaving the `with`; the loops of the launcher look at `count` every tick."""

    def __init__(self):
        self.count = 0
        self._previous = {}

    def __enter__(self) -> "StopRequests":
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, _number, _frame) -> None:
        self.count += 1

    def check(self) -> None:
        """For the time before there is a job to drain: gives up."""
        if self.count:
            raise Failure("interrupted", ExitCode.INTERRUPTED)
