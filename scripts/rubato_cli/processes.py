"""The processes of one job.

Each is in its own session, so that the terminal's Ctrl-C reaches only the launcher. Each inherits the
read end of one pipe, the lifeline, whose write end only the launcher has: however the launcher ends,
kill -9 included, they see the end of file and end as well.
"""

import os
import select
import signal
import subprocess
import time
from pathlib import Path

from .failure import ExitCode, Failure, reason
from .held_memory import HeldMemory
from .log_file import LogFile
from .proc import process_state, with_parent_death_signal
from .run_dir import RunDir


class Programs:
    """The three programs in a build folder."""

    def __init__(self, build_dir: Path):
        self._bin = build_dir / "bin"
        for role in ("scheduler", "server", "worker"):
            if not os.access(self[role], os.X_OK):
                raise Failure(f"there is no {self[role]}; build first: scripts/build.sh")

    def __getitem__(self, role: str) -> str:
        return str(self._bin / f"rubato-{role}")


class Child:
    """One process, from its start until it is reaped. `return_code` is None while it runs."""

    def __init__(self, node: str, command: list[str], log: LogFile, inherited: tuple[int, ...]):
        self.node = node
        self.log = log
        with open(log.path, "ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=inherited,
                env=child_environment(),
                # One that is stopped does not see the lifeline end: this lets it go on, and see. Others mind it not.
                # Who hangs up on all of a session's processes means the launcher, which drains the job, or ignores it.
                preexec_fn=with_parent_death_signal(signal.SIGCONT, ignored=(signal.SIGHUP,)),
            )
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)

    @property
    def role(self) -> str:
        return self.node.split("-")[0]

    @property
    def return_code(self) -> int | None:
        return self._process.returncode

    def fileno(self) -> int:
        """Readable once the process has ended."""
        return self._pidfd

    def reap(self) -> bool:
        """True, once, when the process has ended."""
        if self.return_code is not None or self._process.poll() is None:
            return False
        os.close(self._pidfd)
        return True

    def kill(self) -> None:
        if self.return_code is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def ask_to_end(self) -> None:
        if self.return_code is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def is_stopped(self) -> bool:
        """By SIGSTOP or a debugger: it does nothing, and obeys nobody, until somebody lets it go on."""
        return self.return_code is None and process_state(self.pid) in ("T", "t")


class Processes:
    """Starts, signals and reaps. Leaving the `with` kills whatever still runs."""

    def __init__(self, programs: Programs, run_dir: RunDir):
        self.children: list[Child] = []
        self._programs = programs
        self._run_dir = run_dir
        self._beside: list[subprocess.Popen] = []
        self._held: dict[str, HeldMemory] = {}
        self._lifeline, self._lifeline_held = os.pipe()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_) -> None:
        self.kill()
        for process in self._beside:
            process.kill()
            process.communicate()
        for held in self._held.values():
            held.close()
        os.close(self._lifeline)
        os.close(self._lifeline_held)

    def start_scheduler(self) -> Child:
        return self._start("scheduler", [])

    def start_member(self, node: str, scheduler_endpoint: str) -> Child:
        role, rank = node.split("-")
        arguments = ["--scheduler", scheduler_endpoint, "--rank", rank]
        if role == "evaluator":  # a worker that only pulls
            arguments.insert(0, "--evaluator")
        if role != "server":
            return self._start(node, arguments)
        words, descriptors = self._held.setdefault(node, HeldMemory()).arguments()
        return self._start(node, arguments + words, descriptors)

    def holds_memory(self, node: str) -> bool:
        """Whether a server that is started again would find what it has left."""
        return len(self._held.get(node, ())) > 0

    def let_go_of_memory(self) -> None:
        """What servers have left that are back, and have taken it over."""
        for held in self._held.values():
            held.let_go()

    def start_estimate(self) -> subprocess.Popen | None:
        """Says what memory the job will take, on its standard output, and has no part in it."""
        try:
            process = subprocess.Popen([self._programs["sim"], "--memory", str(self._run_dir.job)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       text=True, start_new_session=True, env=child_environment(),
                                       preexec_fn=with_parent_death_signal(signal.SIGKILL))
        except OSError:
            return None  # a build without the simulator
        self._beside.append(process)
        return process

    def wait(self, timeout_s: float) -> list[Child]:
        """Those that ended, as soon as one does or the time is up."""
        poll = select.poll()
        for child in self.running():
            poll.register(child, select.POLLIN)
        ended = {descriptor for descriptor, _ in poll.poll(max(0.0, timeout_s) * 1000)}
        return [child for child in self.running() if child.fileno() in ended and child.reap()]

    def running(self) -> list[Child]:
        return [child for child in self.children if child.return_code is None]

    def kill(self, grace_s: float = 0.0) -> None:
        """All that have not ended after the grace."""
        deadline = time.monotonic() + grace_s
        while self.running() and time.monotonic() < deadline:
            self.wait(deadline - time.monotonic())
        for child in self.running():
            child.kill()
        while self.running():
            self.wait(1.0)

    def _start(self, node: str, arguments: list[str], descriptors: tuple[int, ...] = ()) -> Child:
        role = node.split("-")[0]
        program = self._programs["worker" if role == "evaluator" else role]
        command = [program, "--job", str(self._run_dir.job), "--run-dir", str(self._run_dir.path)]
        command += [*arguments, "--lifeline", str(self._lifeline)]
        try:
            child = Child(node, command, LogFile(self._run_dir.log(node)), (self._lifeline, *descriptors))
        except OSError as error:
            raise Failure(f"cannot start {node}: {reason(error)}", ExitCode.INTERNAL) from error
        self.children.append(child)
        return child


def child_environment() -> dict[str, str]:
    """Threads are the job's to decide, and must not spin while they wait: the servers need the cores."""
    environment = dict(os.environ, OMP_WAIT_POLICY="passive")
    environment.pop("OMP_NUM_THREADS", None)
    return environment
