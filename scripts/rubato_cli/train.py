"""The command `train`: one job, from its file to its weights."""

import signal
import subprocess
import time
from pathlib import Path

from . import job as jobs
from .failure import PREFIX, ExitCode, Failure, describe_end, reason
from .log_file import parse
from .memory import Forecast
from .proc import with_parent_death_signal
from .processes import Child, Processes, Programs, child_environment
from .progress import make_progress
from .room import Room, refuse_small_processes
from .run_dir import RunDir
from .scheduler_client import SchedulerClient
from .stop_requests import StopRequests
from .summary import failure_line, success_lines
from .supervisor import Supervisor
from .text import plural

POLL_S = 0.02
RESOLVE_TIMEOUT_S = 30.0
BEGIN_TIMEOUT_S = 1800.0  # a plan of large convolutions takes minutes
SCHEDULER_TIMEOUT_S = 15.0


def train(arguments) -> int:
    programs = Programs(Path(arguments.build_dir))
    refuse_small_processes()
    with StopRequests() as stop:
        run_dir = RunDir.claim(arguments.run_dir, arguments.job)
        try:
            notes = resolve(programs, arguments, run_dir, stop)
        except Failure:
            run_dir.give_up()
            raise
        with Processes(programs, run_dir) as processes:
            return run(processes, run_dir, stop, notes, wanted_progress=not arguments.no_progress)


def run(
    processes: Processes, run_dir: RunDir, stop: StopRequests, notes: list[str], wanted_progress: bool
) -> int:
    started = time.monotonic()
    job = jobs.Job.load(run_dir.job)
    room = Room.here()  # before anything of the job's takes any
    forecast = Forecast(processes.start_estimate(), room)
    scheduler = processes.start_scheduler()
    client = wait_for_address(processes, scheduler, run_dir, stop)
    if room.process is not None:
        forecast.refuse_what_cannot_be()  # others need not wait for the estimate
    for node in job.members:
        processes.start_member(node, client.endpoint)

    progress = make_progress(wanted_progress)
    progress.say(f"{run_dir.path}: {job.mode}, {plural(job.servers, 'server')}, {plural(job.workers, 'worker')}")
    for note in notes:
        progress.say(f"note: {note}")
    forecast.refuse_what_cannot_be()
    for line in forecast.lines():
        progress.say(line)
    supervisor = Supervisor(processes, client, progress, stop, run_dir, job.restarts)
    try:
        verdict = supervisor.run()
    finally:
        progress.close()

    supervisor.metrics.new_records()
    drained = verdict.code == ExitCode.INTERRUPTED and supervisor.metrics.last.get("event") == "final"
    if verdict.code == ExitCode.OK or drained:
        how, elapsed_s = "drained" if drained else "finished", time.monotonic() - started
        for line in success_lines(run_dir, job, supervisor, elapsed_s, how):
            progress.say(line)
    if verdict.code == ExitCode.OK:
        return 0
    if verdict.code == ExitCode.INTERRUPTED:
        what = f"the weights are in {run_dir.weights}" if drained else f"the job did not end in order, see {run_dir.path}"
        raise Failure(f"interrupted; {what}", verdict.code)
    raise Failure(failure_line(run_dir, verdict), verdict.code)


def resolve(programs: Programs, arguments, run_dir: RunDir, stop: StopRequests) -> list[str]:
    """Has the scheduler's program check the job and write it, resolved, into the run directory, and beside it the
    weights that it begins with, if it names any; a list of layers is checked against the data, and whether the devices
    are there. Returns what a person should know of the job."""
    command = [programs["scheduler"], "--resolve", arguments.job, "--data-here", *jobs.overrides(arguments)]
    notes = said_by([*command, "--run-dir", str(run_dir.path)], stop, f"the check of {arguments.job}", RESOLVE_TIMEOUT_S)
    job = jobs.Job.load(run_dir.job)
    if job.begins or job.devices != {"cpu"}:
        begin = [programs["weights"], "begin", "--run-dir", str(run_dir.path)]
        begin += [] if job.begins else ["--device-only"]
        try:
            notes += said_by(begin, stop, "what is done before the job starts (rubato-weights begin)", BEGIN_TIMEOUT_S)
        except Failure:
            run_dir.job.unlink()
            raise
    return notes


def said_by(command: list[str], stop: StopRequests, what: str, timeout_s: float) -> list[str]:
    """What a program printed that did its work; a Failure with its last words, if it did not."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=child_environment(),
            preexec_fn=with_parent_death_signal(signal.SIGKILL),
        )
    except OSError as error:
        raise Failure(f"cannot start {command[0]}: {reason(error)}", ExitCode.INTERNAL) from error
    deadline = time.monotonic() + timeout_s
    late = False
    with process:
        while True:
            try:
                out, err = process.communicate(timeout=POLL_S)  # reads as it goes: a pipe that is full would stop it
                break
            except subprocess.TimeoutExpired:
                late = time.monotonic() > deadline
                if stop.count or late:
                    process.kill()
    printed, said = (octets.decode(errors="replace").splitlines() for octets in (out, err.strip()))
    stop.check()
    if late and process.returncode != 0:
        raise Failure(f"{what} did not end within {timeout_s:g} s", ExitCode.INTERNAL)
    if process.returncode != 0:
        raise Failure(sentence(said) or f"{what} {describe_end(process.returncode)}",
                      process.returncode if process.returncode > 0 else ExitCode.INTERNAL)
    return printed


def wait_for_address(processes: Processes, scheduler: Child, run_dir: RunDir, stop: StopRequests) -> SchedulerClient:
    """Returns once the scheduler listens, and has said where."""
    deadline = time.monotonic() + SCHEDULER_TIMEOUT_S
    while not run_dir.address.exists():
        stop.check()
        if scheduler in processes.wait(POLL_S):
            scheduler.log.new_lines()
            how = f"the scheduler {describe_end(scheduler.return_code)}"
            words = scheduler.log.last_words
            code = scheduler.return_code if scheduler.return_code > 0 else ExitCode.PEER_LOST
            raise Failure(f"{how}{': ' + words if words else ''} (log: {scheduler.log.path})", code)
        if time.monotonic() > deadline:
            raise Failure(
                f"the scheduler did not listen within {SCHEDULER_TIMEOUT_S:.0f} s (log: {scheduler.log.path})",
                ExitCode.PEER_LOST,
            )
    return SchedulerClient.read(run_dir.address)


def sentence(lines: list[str]) -> str:
    """The last line of what a program said, without what a log line, or a failed command's, begins with."""
    if not lines:
        return ""
    line = parse(lines[-1])
    return line.text if line else lines[-1].removeprefix(PREFIX)
