"""RUNS.csv: a row for each run, those that chose the point of the grid too, with plain numbers."""

import csv
import io

from . import ages
from .comparison import Comparison
from .grid import Values
from .group import Group
from .run_figures import RunFigures

FIGURES = ["updates", "samples", "train_s", "samples_per_s", "test_accuracy", "test_loss",
           "validation_accuracy", "validation_loss", "best_epoch", "best_validation_accuracy", "best_validation_loss", "age_mean", "age_p99",
           "staleness_max", "wait_share", "waited", "done_early", "pushes", "pushes_dropped", "samples_dropped",
           "nonfinite", "weights_sha256"]


def runs_csv(comparison: Comparison) -> str:
    varied = [key for key, _ in comparison.groups[0].contender.variation]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["mode", *varied, "stragglers", *comparison.tuning.keys, "seed", "tuning", "time_to_target_s",
                     "updates_to_target", "samples_to_target", *FIGURES, "age_max", "diverged", "failure", "run_dir"])
    for group in comparison.tuning.groups + comparison.groups:
        writer.writerows(_rows(comparison, group))
    return out.getvalue()


def _rows(comparison: Comparison, group: Group):
    runs = iter(group.runs)
    for outcome in group.outcomes:
        cell = outcome.cell
        start = [cell.contender.mode, *_values(cell.contender.variation), cell.stragglers, *_values(cell.point), cell.seed,
                 int(cell.is_tuning)]
        if outcome.failure:
            yield start + [""] * (len(FIGURES) + 5) + [outcome.failure, ""]
            continue
        run = next(runs)
        point = comparison.target.reached(run) if comparison.target else None
        to_target = [point.time_s, point.updates, point.samples] if point else ["", "", ""]
        yield start + to_target + _figures(run) + [max(run.ages, default=""), int(run.diverged), "", str(outcome.run_dir)]


def _values(settings: Values) -> list[str]:
    return [value for _, value in settings]


def _figures(run: RunFigures) -> list:
    """`wait_share` is what metrics.jsonl says; `waited` and `done_early` are as in the table."""
    time = run.worker_time
    values = {**run.final, "waited": time.waited, "done_early": time.done_early, "age_mean": ages.mean(run.ages),
              "age_p99": ages.quantile(run.ages, 0.99)}
    return ["" if values.get(name) is None else values[name] for name in FIGURES]
