"""Watches a job from the moment its processes are started until the last has ended.

One loop, one thread: it sleeps until a process ends or a tick is over, then tells the scheduler who
has ended, shows what the logs and the scheduler say, and obeys Ctrl-C.
"""

import time
from collections import Counter

from .failure import ExitCode, describe_end
from .metrics import MetricsFile
from .news import News
from .processes import Child, Processes
from .progress import Quiet
from .run_dir import RunDir
from .scheduler_client import SchedulerClient, Unreachable
from .stop_requests import StopRequests
from .text import plural
from .verdict import End, Verdict, decide

TICK_S = 0.2  # to logs and signals; whoever ends is noticed at once
# To the next look at the status: longer and longer while everybody waits, since looking is all that such a job does.
STATUS_INTERVAL_S, STATUS_INTERVAL_MAX_S = 0.5, 2.0
# After the scheduler has ended the others end by themselves, or are killed.
MEMBERS_GRACE_S = 5.0
# In a job that failed they are asked to after this: one that had not joined yet would look for the scheduler on and on.
ASKED_TO_END_S = 1.0
# So long an aborted job may write down that it was.
ABORT_GRACE_S = 1.0
# A scheduler with nobody left, or without one of its servers, ends the job; one that does not is stuck.
SCHEDULER_GRACE_S = 8.0
# A server that dies so often in so short a time would do so for ever.
SERVER_DEATHS_MAX, SERVER_DEATHS_S = 3, 10.0
# An evaluator is not part of the training, so it may die and be started again, but not for ever.
EVALUATOR_RESTARTS_MAX = 3


class Supervisor:
    def __init__(
        self,
        processes: Processes,
        client: SchedulerClient,
        progress: Quiet,
        stop: StopRequests,
        run_dir: RunDir,
        worker_restarts: int,
    ):
        self.last_status: dict = {}
        self.metrics = MetricsFile(run_dir.metrics)
        self._processes = processes
        self._client = client
        self._progress = progress
        self._stop = stop
        self._news = News(processes, self.metrics, progress)
        self._ends: list[End] = []
        self._killed: dict[int, str] = {}  # by us, and why: these ends blame nobody
        self._consequences = 0  # processes that ended because the job had failed
        self._unsent: list = []  # requests the scheduler has not answered yet
        self._draining = False
        self._restarts_max = {"evaluator": EVALUATOR_RESTARTS_MAX, "worker": worker_restarts}  # of each
        self._restarts = Counter()  # by node
        self._server_deaths: dict[str, list[float]] = {}  # when, by node
        self._deadline: float | None = None  # for the scheduler to end
        self._next_status = 0.0
        self._status_interval_s = STATUS_INTERVAL_S

    def run(self) -> Verdict:
        while self._scheduler.return_code is None:
            self._tick(TICK_S)
            self._send_unsent()
            self._processes.let_go_of_memory()
            self._show_status()
            if self._stop.count >= 2:
                return self._abort()
            if self._stop.count == 1 and not self._draining:
                self._drain()
            if self._deadline is not None:
                self._mind_the_scheduler()
        return self._finish()

    @property
    def _scheduler(self) -> Child:
        return self._processes.children[0]

    def _tick(self, timeout_s: float) -> None:
        ended = self._processes.wait(timeout_s)
        self._news.show()  # somebody's last words come before the news of its end, the cause before what follows
        for child in ended:
            self._note_end(child)

    # ---- processes that end

    def _note_end(self, child: Child) -> None:
        code = child.return_code
        failed = code != 0 and (child.role == "scheduler" or self._scheduler.return_code is None)
        again = failed and self._may_restart(child)
        ours = child.pid in self._killed and child.role != "scheduler"
        if not ours and not (again and child.role == "server"):
            self._ends.append(End(child.node, code, child.log.last_words, self._killed.get(child.pid, "")))
        if child.role != "scheduler":
            returns = again and child.role == "server"
            self._unsent.append(lambda: self._client.tell_exited(child.node, child.pid, code, returns))
        if again:
            self._start_again(child)
        elif failed:
            self._tell_failure(child)
        if all(other.role == "scheduler" for other in self._processes.running()):
            self._start_deadline()

    def _start_again(self, child: Child) -> None:
        self._progress.say(f"warning: {child.node} {describe_end(child.return_code)}; starting it again")
        self._restarts[child.node] += 1
        # Behind the news of its end: the scheduler takes nobody in who is there already.
        self._unsent.append(lambda: self._processes.start_member(child.node, self._client.endpoint))

    def _tell_failure(self, child: Child) -> None:
        how = f"{child.node} {describe_end(child.return_code)}"
        if child.role in ("scheduler", "server"):
            self._start_deadline()
        if child.pid in self._killed:
            return  # said when it was
        elif self._news.job_failed:
            self._consequences += child.role != "scheduler"
        elif child.return_code == ExitCode.PEER_LOST:
            return  # It says that somebody else is lost; so does the scheduler, and better.
        elif child.role == "scheduler" and self._draining and child.return_code == ExitCode.INTERRUPTED:
            return  # as it was asked to
        elif child.role in ("scheduler", "server"):
            self._news.job_lost(child.node)
            if not self._news.is_explained(child):
                self._progress.say(f"{how}; the job cannot go on without it{self._why_lost(child)}, stopping")
        elif not self._news.is_explained(child):
            self._progress.say(f"warning: {how}")

    def _why_lost(self, child: Child) -> str:
        why = self.last_status.get("servers_stay_lost") if child.role == "server" else None
        return f" ({why})" if why else ""

    def _server_may_restart(self, node: str) -> bool:
        """What it has left is enough to go on from, and it does not die again and again."""
        try:
            self.last_status = self._client.status()  # what it said last may be of before training began
        except Unreachable:
            pass
        now = time.monotonic()
        deaths = [at for at in self._server_deaths.get(node, []) if now - at < SERVER_DEATHS_S] + [now]
        self._server_deaths[node] = deaths
        returns = "servers_stay_lost" in self.last_status and not self.last_status["servers_stay_lost"]
        return returns and self._processes.holds_memory(node) and len(deaths) < SERVER_DEATHS_MAX

    def _may_restart(self, child: Child) -> bool:
        # Killed, crashed, or taken out. One that says why it ends would end the same way again, or because the job does.
        again = child.return_code < 0 or child.return_code in (ExitCode.INTERNAL, ExitCode.EVICTED)
        going_on = self._stop.count == 0 and not self._news.job_failed and self._deadline is None
        if child.role == "server":
            return again and going_on and child.pid not in self._killed and self._server_may_restart(child.node)
        return again and going_on and self._restarts[child.node] < self._restarts_max.get(child.role, 0)

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + SCHEDULER_GRACE_S

    def _mind_the_scheduler(self) -> None:
        """It has nothing left to do but to end the job."""
        if self._scheduler.is_stopped():
            self._kill(self._scheduler, "was stopped (SIGSTOP)")
        elif time.monotonic() > self._deadline:
            self._kill(self._scheduler, "did not end the job")

    def _kill(self, child: Child, why: str) -> None:
        if child.pid in self._killed:
            return
        self._killed[child.pid] = why
        self._progress.say(f"warning: {child.node} {why}; killing it")
        child.kill()

    # ---- talking to the scheduler

    def _send_unsent(self) -> None:
        while self._unsent and self._scheduler.return_code is None:
            try:
                self._unsent[0]()
            except Unreachable:
                return  # again at the next tick
            self._unsent.pop(0)

    def _show_status(self) -> None:
        now = time.monotonic()
        if now < self._next_status or self._scheduler.return_code is not None:
            return
        before = self.last_status
        try:
            self.last_status = self._client.status()
        except Unreachable:
            self._next_status = now + STATUS_INTERVAL_S
            return
        stands = all(status.get("state") == "training" for status in (before, self.last_status))
        stands = stands and before.get("samples_done") == self.last_status.get("samples_done")
        longer_s = min(2 * self._status_interval_s, STATUS_INTERVAL_MAX_S)
        self._status_interval_s = longer_s if stands else STATUS_INTERVAL_S
        self._next_status = now + self._status_interval_s
        self._progress.update(self.last_status)
        self._kill_evicted()

    def _kill_evicted(self) -> None:
        """The job goes on without them, and they would hold it up at its end: what is stopped obeys nobody."""
        status = self.last_status
        members = [*status.get("workers", []), *status.get("servers", []), status.get("evaluator") or {}]
        evicted = {member.get("pid") for member in members if member.get("state") == "evicted"}
        for child in self._processes.running():
            if child.pid in evicted:
                self._kill(child, "was evicted")

    # ---- ending

    def _drain(self) -> None:
        self._draining = True
        begun = self.last_status.get("state") != "starting"
        order = "the workers finish their steps, the weights are evaluated and written" if begun else "nothing has begun"
        self._progress.say(f"stopping: {order}; Ctrl-C again kills the job")
        self._unsent.append(self._client.drain)

    def _abort(self) -> Verdict:
        self._progress.say("killing the job")
        try:
            self._client.abort()  # so that metrics.jsonl says how it ended
        except Unreachable:
            pass
        self._processes.kill(ABORT_GRACE_S)
        return Verdict(int(ExitCode.INTERRUPTED), None)

    def _finish(self) -> Verdict:
        ended = time.monotonic()
        asked = self._scheduler.return_code == 0
        while self._processes.running() and time.monotonic() < ended + MEMBERS_GRACE_S and self._stop.count < 2:
            if not asked and time.monotonic() > ended + ASKED_TO_END_S:
                asked = True
                for child in self._processes.running():
                    child.ask_to_end()
            for child in self._processes.running():
                if child.is_stopped():
                    self._kill(child, "was stopped (SIGSTOP)")
            self._tick(TICK_S)
        for child in self._processes.running():
            self._kill(child, "did not end")
        self._processes.kill()
        self._news.show()
        if self._consequences:
            self._progress.say(f"because of that, {plural(self._consequences, 'other process', 'es')} ended too")
        return decide(self._ends)
