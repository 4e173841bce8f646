"""Watches a job from the moment its processes are started until the last has ended.

One loop, one thread: it sleeps until a process ends or a tick is over, then tells the scheduler who
has ended, shows what the logs and the scheduler say, and obeys Ctrl-C.
"""

import time

from .failure import ExitCode, describe_end
from .log_file import LogLine
from .metrics import MetricsFile
from .processes import Child, Processes
from .progress import Quiet
from .progress_lines import epoch_line
from .run_dir import RunDir
from .scheduler_client import SchedulerClient, Unreachable
from .stop_requests import StopRequests
from .verdict import End, Verdict, decide

TICK_S = 0.1
STATUS_INTERVAL_S = 0.5
# After the scheduler has ended the others end by themselves, or are ended.
MEMBERS_GRACE_S = 5.0
TERMINATE_GRACE_S = 1.0
# A scheduler with nobody left, or without one of its servers, ends the job; one that does not is stuck.
SCHEDULER_GRACE_S = 8.0
# An evaluator is not part of the training, so it may die and be started again, but not for ever.
EVALUATOR_STARTS_MAX = 4


class Supervisor:
    def __init__(
        self,
        processes: Processes,
        client: SchedulerClient,
        progress: Quiet,
        stop: StopRequests,
        run_dir: RunDir,
    ):
        self.last_status: dict = {}
        self.metrics = MetricsFile(run_dir.metrics)
        self._processes = processes
        self._client = client
        self._progress = progress
        self._stop = stop
        self._ends: list[End] = []
        self._unsent: list = []  # requests the scheduler has not answered yet
        self._draining = False
        self._evaluator_starts = 1
        self._lost: str | None = None  # the server that the job cannot go on without
        self._errors_shown: set[str] = set()
        self._deadline: float | None = None  # for the scheduler to end
        self._next_status = 0.0

    def run(self) -> Verdict:
        while not self._has_ended("scheduler"):
            self._tick(TICK_S)
            self._send_unsent()
            self._show_status()
            if self._stop.count >= 2:
                return self._kill()
            if self._stop.count == 1 and not self._draining:
                self._drain()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._progress.say("error: the scheduler does not end the job; ending it")
                break
        return self._finish()

    def _tick(self, timeout_s: float) -> None:
        for child in self._processes.wait(timeout_s):
            self._note_end(child)
        self._show_logs()

    # ---- processes that end

    def _note_end(self, child: Child) -> None:
        self._show_log(child)  # its last words come before the news of its end
        code = child.return_code
        self._ends.append(End(child.node, code, child.log.last_words))
        if child.role != "scheduler":
            self._unsent.append(lambda: self._client.tell_exited(child.node, code))
        if self._has_ended("scheduler"):
            return
        if code != 0:
            self._tell_failure(child)
        if all(other.role == "scheduler" for other in self._processes.running()):
            self._start_deadline()

    def _tell_failure(self, child: Child) -> None:
        how = f"{child.node} {describe_end(child.return_code)}"
        if child.return_code == ExitCode.PEER_LOST:
            # It says that somebody else is lost; so does the scheduler, and better.
            if child.role == "server":
                self._start_deadline()
        elif child.role == "server":
            self._progress.say(f"{how}; the job cannot go on without it, stopping")
            self._lost = self._lost or child.node
            self._start_deadline()
        elif child.role == "evaluator" and self._may_restart(child):
            self._progress.say(f"warning: {how}; starting it again")
            self._evaluator_starts += 1
            self._processes.start_member(child.node, self._client.endpoint)
        else:
            self._progress.say(f"warning: {how}")

    def _may_restart(self, child: Child) -> bool:
        return (
            self._evaluator_starts < EVALUATOR_STARTS_MAX
            and self._stop.count == 0
            and self._lost is None
            # Killed or crashed. One that says why it ends would end the same way again, or because the job does.
            and (child.return_code < 0 or child.return_code == ExitCode.INTERNAL)
        )

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + SCHEDULER_GRACE_S

    def _has_ended(self, node: str) -> bool:
        return any(end.node == node for end in self._ends)

    # ---- talking to the scheduler

    def _send_unsent(self) -> None:
        while self._unsent and not self._has_ended("scheduler"):
            try:
                self._unsent[0]()
            except Unreachable:
                return  # again at the next tick
            self._unsent.pop(0)

    def _show_status(self) -> None:
        now = time.monotonic()
        if now < self._next_status or self._has_ended("scheduler"):
            return
        self._next_status = now + STATUS_INTERVAL_S
        try:
            self.last_status = self._client.status()
        except Unreachable:
            return
        self._progress.update(self.last_status)

    # ---- showing

    def _show_logs(self) -> None:
        for child in self._processes.children:
            self._show_log(child)
        for record in self.metrics.new_records():
            line = epoch_line(record)
            if line:
                self._progress.say(line)

    def _show_log(self, child: Child) -> None:
        for line in child.log.new_lines():
            if line.is_notable and self._is_news(line):
                self._progress.say(f"{line.level}: {line.node}: {line.text}")

    def _is_news(self, line: LogLine) -> bool:
        """An error that ends the job is logged by all whom the scheduler tells of it, and shown once. And once a
        server or the scheduler is gone, the others' complaints about it are left to their logs."""
        if line.is_error:
            if line.text in self._errors_shown:
                return False
            self._errors_shown.add(line.text)
        over = self._lost or self._has_ended("scheduler")
        return not over or line.node in ("scheduler", self._lost)

    # ---- ending

    def _drain(self) -> None:
        self._draining = True
        self._progress.say(
            "stopping: the workers finish their steps, the weights are evaluated and written; "
            "Ctrl-C again kills the job"
        )
        self._unsent.append(self._client.drain)

    def _kill(self) -> Verdict:
        self._progress.say("killing the job")
        self._processes.end(TERMINATE_GRACE_S)
        return Verdict(int(ExitCode.INTERRUPTED), None)

    def _finish(self) -> Verdict:
        deadline = time.monotonic() + (MEMBERS_GRACE_S if self._has_ended("scheduler") else 0.0)
        while self._processes.running() and time.monotonic() < deadline and self._stop.count < 2:
            self._tick(TICK_S)
        self._processes.end(TERMINATE_GRACE_S)  # these ends are ours, and blame nobody
        self._show_logs()
        return decide(self._ends)
