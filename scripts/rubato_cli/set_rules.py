"""The command `set`: another mode, another learning rate, for a job that is running."""

import sys
import time
from pathlib import Path

from . import text
from .failure import ExitCode, Failure
from .progress_lines import rules_words
from .running_jobs import running_jobs
from .scheduler_client import SchedulerClient, Unreachable
from .status import status_of

POLL_S = 0.2


def set_rules(arguments) -> int:
    run_dir, changes = split(arguments.words)
    client = reach(run_dir)
    try:
        answer = client.set(" ".join(changes), arguments.dry_run)
    except Unreachable as error:
        raise Failure(str(error), ExitCode.PEER_LOST) from error
    print(words(answer, arguments.dry_run), flush=True)
    if arguments.wait and not arguments.dry_run:
        wait(client, answer["rule_epoch"])
    return 0


def split(given: list[str]) -> tuple[Path | None, list[str]]:
    """The run directory, if there is one before the changes, and these."""
    if given and ("=" not in given[0] or Path(given[0]).is_dir()):
        if not Path(given[0]).is_dir():
            raise Failure(f'"{given[0]}" is neither a run directory nor a change, as in mode=ssp:8')
        return Path(given[0]), given[1:]
    return None, given


def reach(run_dir: Path | None) -> SchedulerClient:
    """Who to ask: of the job named, or of the one job of this user's that runs."""
    if run_dir is not None:
        return status_of(run_dir)[0]
    jobs = running_jobs()
    if not jobs:
        raise Failure("no job of yours is running", ExitCode.PEER_LOST)
    if len(jobs) > 1:
        raise Failure("several jobs of yours are running, so say which: " + text.names(job.run_dir for job in jobs))
    return jobs[0].client


def words(answer: dict, dry_run: bool) -> str:
    rules, clock, to_go = rules_words(answer), answer["clock"], answer["to_go"]
    if not answer["changed"]:
        return f"nothing to change: {rules} " + (f"is set already, from clock {clock} on" if to_go else "is in force")
    when = f"from clock {clock} on"
    if to_go:
        when += f"; the slowest worker has {text.plural(to_go, 'clock')} to go until then"
    return f"{'would be ' if dry_run else ''}{rules} {when}"


def wait(client: SchedulerClient, rule_epoch: int) -> None:
    """Until these rules are in force, or later ones, because others were set meanwhile."""
    while True:
        try:
            status = client.status()
        except Unreachable as error:
            raise Failure(f"the job ended before these rules were in force: {error}", ExitCode.PEER_LOST) from error
        if status["rule_epoch"] >= rule_epoch:
            print(f"in force: {rules_words(status)}")
            return
        if status["state"] != "training":
            raise Failure(f"the job is {status['state']} before these rules are in force", ExitCode.REFUSED)
        if sys.stdout.isatty():
            print(f"\r{text.plural(status['changing'][0]['to_go'], 'clock')} to go\x1b[K\r", end="", flush=True)
        time.sleep(POLL_S)
