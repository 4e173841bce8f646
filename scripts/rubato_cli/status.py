"""The command `status`: how running jobs fare."""

import json
import shutil
import sys
import time
from pathlib import Path

from .failure import ExitCode, Failure, code_words
from .metrics import MetricsFile
from .progress import ERASE_BELOW
from .progress_lines import ended_part
from .run_dir import RunDir
from .running_jobs import running_jobs
from .scheduler_client import SchedulerClient, Unreachable
from .status_view import job_lines, overview_lines
from .text import percent, shortened

WATCH_INTERVAL_S = 1.0
CURSOR_HOME = "\x1b[H"
ERASE_SCREEN = "\x1b[2J"


def status(arguments) -> int:
    look = (lambda: one_job(Path(arguments.run_dir))) if arguments.run_dir else all_jobs
    show = json_text if arguments.json else people_text
    if not arguments.watch:
        print(show(look(), terminal_width()), flush=True)
        return 0
    return watch(look, show)


def watch(look, show) -> int:
    in_place = sys.stdout.isatty()
    drawn_at = None  # the size of the terminal at the last frame: what another size has made of that one is erased
    found = look()
    while True:
        if in_place:
            size = shutil.get_terminal_size()
            # Neither the last column nor the last row is written, so that nothing wraps or scrolls.
            lines = [shortened(line, size.columns - 1) for line in show(found, size.columns - 1).splitlines()]
            frame = "".join(line + "\x1b[K\n" for line in lines[: size.lines - 1])
            print((ERASE_SCREEN if size != drawn_at else "") + CURSOR_HOME + frame + ERASE_BELOW, end="", flush=True)
            drawn_at = size
        else:
            print(show(found), flush=True)
        time.sleep(WATCH_INTERVAL_S)
        try:
            found = look()
        except Failure as failure:  # the end of the job is the end of watching it
            print(failure)
            return 0


def one_job(run_dir: Path) -> dict:
    return status_of(run_dir)[1]


def status_of(run_dir: Path) -> tuple[SchedulerClient, dict]:
    """A running job's scheduler, and what it says."""
    files = RunDir(run_dir)
    if not files.address.exists():
        raise Failure(f"{run_dir} is no run directory of a job (it has no {files.address.name})")
    client = SchedulerClient.read(files.address)
    over = f"the job in {run_dir} is over: {how_it_ended(files)}"
    if not client.is_alive():
        raise Failure(over, ExitCode.PEER_LOST)
    try:
        found = client.status()
    except Unreachable as error:
        raise Failure(f"{error} (pid {client.pid}, {run_dir})", ExitCode.PEER_LOST) from error
    # After a reboot another process may have the pid, another scheduler the port.
    if client.job_id and found.get("job_id") not in (None, client.job_id):
        raise Failure(over, ExitCode.PEER_LOST)
    return client, found


def how_it_ended(files: RunDir) -> str:
    metrics = MetricsFile(files.metrics)
    metrics.new_records()
    last = metrics.last
    if last.get("event") == "failed":
        return f"{last.get('reason')} ({code_words(last.get('exit_code'))})"
    if last.get("event") != "final":
        return "its scheduler has gone without a word"
    part = ended_part(last)
    accuracy = last.get(f"{part}_accuracy")
    figures = "" if accuracy is None else f"{part} accuracy {percent(accuracy, 2)}, "
    return f"{figures}weights in {files.best if files.best.exists() else files.weights}"


def all_jobs() -> list[dict]:
    found = []
    for job in running_jobs():
        try:
            found.append(job.client.status())
        except Unreachable as error:
            found.append({"run_dir": str(job.run_dir), "state": str(error)})
    return found


def terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def json_text(found, _width: int | None = None) -> str:
    return json.dumps(found, indent=2)


def people_text(found, width: int | None = None) -> str:
    if isinstance(found, dict):
        return "\n".join(job_lines(found, width))
    if not found:
        return "no job of yours is running; start one: scripts/rubato train jobs/fashion_cnn.toml"
    if len(found) == 1:
        return "\n".join(job_lines(found[0], width))
    return "\n".join([*overview_lines(found), "", "more about one: scripts/rubato status RUN"])
