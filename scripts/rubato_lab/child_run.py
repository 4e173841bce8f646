"""One run under way: its process, and what it said if it failed."""

import os
import signal
import subprocess
import time
from pathlib import Path

from rubato_cli.failure import PREFIX, describe_end
from rubato_cli.log_file import parse
from rubato_cli.proc import with_parent_death_signal


class ChildRun:
    """Runs in a session of its own, so that a terminal's Ctrl-C reaches the comparison alone; dies with it."""

    def __init__(self, command: list[str], log: Path):
        self.started = time.monotonic()
        self._log = log
        # One compute thread a run: several runs share the machine, and the same threads round the same.
        environment = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env=environment, preexec_fn=with_parent_death_signal(signal.SIGKILL))

    @property
    def took_s(self) -> float:
        return time.monotonic() - self.started

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        """The launcher's children end with it, by their lifeline."""
        self._process.kill()
        self._process.wait()

    def cause(self) -> str:
        """The last thing it said, without what any line of a log has; or how it ended."""
        try:
            lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        if not lines:
            return describe_end(self._process.returncode)
        line = parse(lines[-1])
        said = line.text if line else lines[-1].strip()
        said = said.removeprefix(PREFIX)
        return said if self._process.returncode >= 0 else f"{describe_end(self._process.returncode)}: {said}"
