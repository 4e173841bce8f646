"""The command `compare`: one job under several modes, bounds and kinds of stragglers; a table and a report."""

import math
import sys
import tomllib
from pathlib import Path

from rubato_cli import text
from rubato_cli.failure import ExitCode, Failure
from rubato_cli.stop_requests import StopRequests

from . import comparison_table, processors
from .campaign import Campaign, Outcome, resolve
from .comparison import Comparison
from .files import write_whole
from .grid import MODE_KEY, Grid, parse_keys, split_list
from .grid_progress import GridProgress
from .report import write_report
from .run_cache import RunCache
from .run_figures import job_value, read_job
from .run_kind import Real, RunKind, Simulated
from .runs_csv import runs_csv
from .tensorboard_export import write_tensorboard
from .tuning import Tuning

EVALUATIONS_PER_EPOCH = 8
MICRO_BATCHES_KEY = "train.micro_batches"
WITHOUT_CLASSES = "quadratic"  # the one model that has no accuracy


def compare(arguments) -> int:
    grid = grid_of(arguments)
    build_dir = Path(arguments.build_dir)
    kind = Real(build_dir) if arguments.real else Simulated(build_dir)
    folder = Path(arguments.out or Path("runs") / f"compare-{Path(arguments.job).stem}")
    jobs = jobs_at_once(arguments)
    progress = GridProgress()
    with StopRequests() as stop:
        settings = common_settings(arguments)
        tables = job_of_all(kind, Path(arguments.job), settings)
        remarks = make_room_for_workers(tables, settings, grid.modes)
        check_target(arguments.target, tables)
        campaign = Campaign(kind, Path(arguments.job), settings, RunCache(folder / "runs"), stop)
        campaign.refuse_bad_values(grid.combinations())
        try:
            tuning = Tuning(tune(campaign, grid, jobs, arguments.fail_fast, progress))
            outcomes = campaign.run(grid.cells(tuning.point), jobs, arguments.fail_fast, progress)
        finally:
            progress.close()
        comparison = Comparison(outcomes, arguments.target, arguments.real, has_a_core_each(outcomes, arguments.real),
                                remarks, tuning)
        for line in ["", *comparison_table.lines(comparison), ""]:
            progress.say(line)
        for line in write_outputs(comparison, folder, Path(arguments.job)):
            progress.say(line)
    made = tuning.outcomes + outcomes
    failed = sum(bool(outcome.failure) for outcome in made)
    if failed:
        raise Failure(f"{failed} of {len(made)} runs failed; the same command tries them again", ExitCode.INTERNAL)
    return 0


def tune(campaign: Campaign, grid: Grid, jobs: int, fail_fast: bool, progress: GridProgress) -> list[Outcome]:
    cells = grid.tuning_cells()
    if cells:
        progress.say(f"first {text.plural(len(cells), 'run')} to find the best of the grid for each, then those to compare")
    return campaign.run(cells, jobs, fail_fast, progress) if cells else []


def grid_of(arguments) -> Grid:
    for option, seeds in (("--seeds", arguments.seeds), ("--tuning-seeds", arguments.tuning_seeds)):
        if seeds < 1:
            raise Failure(f"{option} must be at least 1 and is {seeds}")
    keys, varied = parse_keys("--grid", arguments.grid), parse_keys("--vary", arguments.vary)
    if both := {key for key, _ in keys} & {key for key, _ in varied}:
        raise Failure(f"--vary {both.pop()}: --grid has that key already")
    return Grid(split_list(arguments.modes, "--modes"), split_list(arguments.stragglers, "--stragglers"),
                arguments.seeds, arguments.seed, keys, varied, arguments.tuning_seeds)


def common_settings(arguments) -> dict[str, str]:
    """What all runs share; the named flags win over --set, as in `train`."""
    settings = {}
    for setting in arguments.set:
        key, equals, value = setting.partition("=")
        if not equals:
            raise Failure(f"--set wants KEY=VALUE and was given {setting!r}")
        settings[key] = value
    for key, value in (("cluster.workers", arguments.workers), ("cluster.servers", arguments.servers)):
        if value is not None:
            settings[key] = str(value)
    if not arguments.real:
        # A curve wants points. Simulated evaluations cost no virtual time; real ones would take a processor.
        settings.setdefault("evaluation.per_epoch", str(EVALUATIONS_PER_EPOCH))
    return settings


def jobs_at_once(arguments) -> int:
    if arguments.jobs is not None and arguments.jobs < 1:
        raise Failure(f"--jobs must be at least 1 and is {arguments.jobs}")
    return 1 if arguments.real else arguments.jobs or processors.here()


def job_of_all(kind: RunKind, job: Path, settings: dict[str, str]) -> dict | None:
    """What all runs share, resolved. A job that cannot be is left for the check of its runs to complain of."""
    try:
        return tomllib.loads(resolve(kind.resolve_command, job, {**settings, MODE_KEY: "asp"}))
    except Failure:
        return None


def make_room_for_workers(tables: dict | None, settings: dict[str, str], modes: tuple[str, ...]) -> list[str]:
    """bsp wants a micro-batch for each worker. Where the job has fewer, all modes get the next power of two, and a
    remark says so. Also where bsp is not among them: a longer list of modes is to find the same runs again."""
    workers, leaves = job_value(tables, "cluster.workers", 1), job_value(tables, MICRO_BATCHES_KEY, 1)
    if MICRO_BATCHES_KEY in settings or workers <= leaves:
        return []
    settings[MICRO_BATCHES_KEY] = str(1 << (workers - 1).bit_length())
    why = "bsp wants one for each worker" if "bsp" in modes else "so bsp could join, and these runs would be found again"
    return [f"{MICRO_BATCHES_KEY} is {settings[MICRO_BATCHES_KEY]} here and {leaves} in the job: {why}"]


def check_target(target: float | None, tables: dict | None) -> None:
    """A share, but for a job without classes, which is timed to a loss."""
    if target is None:
        return
    if not 0 < target < math.inf:
        raise Failure(f"--target must be above 0 and is {target:g}")
    if target > 1 and job_value(tables, "model.name") != WITHOUT_CLASSES:
        raise Failure(f"--target is an accuracy, 1 at most, and is {target:g}; 85% is 0.85")


def has_a_core_each(outcomes: list[Outcome], is_real: bool) -> bool:
    """Virtual time does not care for cores."""
    done = next((outcome for outcome in outcomes if not outcome.failure), None)
    if not is_real or done is None:
        return True
    return processors.processes(read_job(done.run_dir)) <= processors.here()


def write_outputs(comparison: Comparison, folder: Path, job: Path) -> list[str]:
    """Everything but the runs; returns lines that say where it is."""
    if not any(group.runs for group in comparison.groups):
        raise Failure("every run failed, so there is nothing to report")
    command = "scripts/rubato " + " ".join(sys.argv[1:])
    report = write_report(comparison, folder, job, command)
    write_whole(folder / "RUNS.csv", runs_csv(comparison))
    events = write_tensorboard(comparison, folder / "tensorboard")
    return [
        f"  report       {report}",
        f"  figures      {folder / 'figures'}",
        f"  every run    {folder / 'RUNS.csv'}",
        f"  tensorboard  {folder / 'tensorboard'} ({text.count(events)} runs; tensorboard --logdir ...)",
    ]
