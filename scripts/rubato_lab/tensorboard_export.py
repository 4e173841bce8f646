"""DIR/tensorboard: an event file for each run, with its curves, the histogram of its ages, and its hyperparameters."""

import shutil
from pathlib import Path

from .campaign import Outcome
from .comparison import Comparison
from .files import write_whole
from .run_figures import Point, RunFigures, job_value, read_job
from .tensorboard import events, hparams
from .tensorboard.records import record



def write_tensorboard(comparison: Comparison, folder: Path) -> int:
    """Returns how many runs were written."""
    shutil.rmtree(folder, ignore_errors=True)  # runs of an older grid are no part of this one
    written = 0
    for group in comparison.tuning.groups + comparison.groups:
        done = [outcome for outcome in group.outcomes if not outcome.failure]
        for outcome, run in zip(done, group.runs):
            path = folder / outcome.cell.file_name / "events.out.tfevents.0.rubato"
            write_whole(path, _file(outcome, run))
            written += 1
    return written


def _file(outcome: Outcome, run: RunFigures) -> bytes:
    # When the run ended in this world; its own seconds, which may be virtual, are counted back from there.
    end = (outcome.run_dir / "metrics.jsonl").stat().st_mtime
    began = end - run.final.get("train_s", 0.0)
    settings = _hyperparameters(outcome)
    seedless = {name: value for name, value in settings.items() if name != "seed"}
    accuracy, loss = f"{run.part}/accuracy", f"{run.part}/loss"
    out = [events.version(began),
           events.event(began, 0, hparams.experiment(settings, [accuracy, loss, "train/loss"], began)),
           events.event(began, 0, hparams.session_start(settings, repr(sorted(seedless.items())), began))]
    curves = {accuracy: run.accuracy, loss: run.evaluated_loss, "train/loss": run.train_loss,
              "train/accuracy": run.curve("train_accuracy", "progress"), "train/rate": run.curve("rate", "progress"),
              "age/mean": run.curve("age_mean", "progress")}
    for tag, curve in curves.items():
        out += [_scalar(tag, point, began) for point in curve]
    if run.ages:
        out.append(events.event(end, run.final["updates"], events.histogram("age", run.ages)))
    out.append(events.event(end, run.final.get("updates", 0), hparams.session_end(end)))
    return b"".join(map(record, out))


def _scalar(tag: str, point: Point, began: float) -> bytes:
    return events.event(began + point.time_s, point.updates, events.scalar(tag, point.value))


def _hyperparameters(outcome: Outcome) -> dict[str, str | float]:
    job = read_job(outcome.run_dir)
    cell = outcome.cell
    found: dict[str, str | float] = {"mode": cell.contender.mode, "stragglers": cell.stragglers}
    for key, value in (*cell.contender.variation, *cell.point):
        found[key] = _number_or_text(value)
    for key in ("optimizer.name", "optimizer.rate", "cluster.workers", "train.batch"):
        value = job_value(job, key)
        if value is not None:
            found[key] = value if isinstance(value, str) else float(value)
    return {**found, "seed": float(cell.seed)}


def _number_or_text(value: str) -> str | float:
    try:
        return float(value)
    except ValueError:
        return value
