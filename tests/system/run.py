"""One job as the user runs it: the real launcher, the real programs, in a run directory of its own."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from dispositions import with_signals  # noqa: E402

LAUNCHER = ROOT / "scripts" / "rubato"
# Far above what anything here takes: a machine that is busy with something else fails no test.
PATIENCE_S = 120.0
POLL_S = 0.02


class Run:
    """A launcher in the background. What it prints goes to a file."""

    def __init__(self, command, run_dir: Path, output: Path, environment):
        self.run_dir = run_dir
        self._output = output
        with open(output, "wb") as out:
            self.launcher = subprocess.Popen(command, cwd=output.parent, env=environment, stdin=subprocess.DEVNULL,
                                             stdout=out, stderr=out, start_new_session=True,
                                             preexec_fn=with_signals())

    # ---- what it leaves

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def last_line(self) -> str:
        lines = self.output.splitlines()
        return lines[-1] if lines else ""

    def metrics(self) -> list[dict]:
        """The complete lines of metrics.jsonl, whether or not the job still writes it."""
        try:
            text = (self.run_dir / "metrics.jsonl").read_text()
        except OSError:
            return []
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def final(self) -> dict:
        lines = self.metrics()
        assert lines and lines[-1]["event"] == "final", f"metrics.jsonl does not end with a final line: {self.output}"
        return lines[-1]

    def log(self, node: str) -> str:
        return (self.run_dir / "logs" / f"{node}.log").read_text(errors="replace")

    # ---- looking at it while it runs

    def pids(self) -> dict[str, int]:
        """The job's processes by the name of their node, without the launcher."""
        found = {}
        for pid, words in processes():
            program = os.path.basename(words[0])
            if not program.startswith("rubato-") or str(self.run_dir) not in words:
                continue
            role = "evaluator" if "--evaluator" in words else program.removeprefix("rubato-")
            rank = words[words.index("--rank") + 1] if "--rank" in words else None
            found[role if rank is None else f"{role}-{rank}"] = pid
        return found

    def pid(self, node: str) -> int:
        self.wait_until(lambda: node in self.pids(), f"{node} to start")
        return self.pids()[node]

    def address(self) -> dict:
        """RUN/scheduler.json, once it is there."""
        path = self.run_dir / "scheduler.json"
        self.wait_until(path.exists, "the scheduler to listen")
        return json.loads(path.read_text())

    def status(self) -> dict:
        """What the scheduler says of the job; empty once it is gone."""
        address = self.address()
        url = urlsplit(address["http"])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/status", headers={"X-Rubato-Token": address["token"]})
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def worker(self, node: str) -> dict:
        """What the status says of one worker; an empty one as long as it says nothing."""
        return next((worker for worker in self.status().get("workers", []) if worker["node"] == node), {})

    def wait_for_clock(self, node: str, clock: int) -> None:
        self.wait_until(lambda: self.worker(node).get("clock", -1) >= clock, f"{node} to reach clock {clock}")

    def wait_for_output(self, words: str, patience_s: float = PATIENCE_S) -> None:
        self.wait_until(lambda: words in self.output, f'"{words}"', patience_s)

    def wait_until(self, condition, what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            over = self.launcher.poll() is not None
            if (over or time.monotonic() > deadline) and not condition():
                how = "until the job was over" if over else f"for {patience_s:.0f} s"
                raise AssertionError(f"waited {how} for {what}, in vain:\n{self.output}")
            time.sleep(POLL_S)

    # ---- ending it

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """The launcher's exit code."""
        try:
            return self.launcher.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the job has not ended after {timeout_s:.0f} s:\n{self.output}") from None

    def kill(self, node: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(node), number)

    def bury(self) -> None:
        """Whatever a failed test left of it; the others notice the launcher's end."""
        if self.launcher.poll() is None:
            self.launcher.kill()
        self.launcher.wait()
        while pids := self.pids():
            for pid in pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)


def processes():
    """(pid, words of its command) of every process that has not ended."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue
            if words:  # neither of the kernel, nor ended and not yet reaped
                yield int(entry.name), words
