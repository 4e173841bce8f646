"""RUNS.csv: a row for each run of the grid, with plain numbers."""

import csv
import io

from . import ages
from .comparison import Comparison
from .run_figures import RunFigures

FIGURES = ["updates", "samples", "train_s", "samples_per_s", "test_accuracy", "test_loss", "age_mean", "age_p99",
           "staleness_max", "wait_share", "pushes", "pushes_dropped", "samples_dropped", "nonfinite", "weights_sha256"]


def runs_csv(comparison: Comparison) -> str:
    keys = [key for key, _ in comparison.groups[0].point]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["mode", "stragglers", *keys, "seed", "best_of_grid", "time_to_target_s", "updates_to_target",
                     "samples_to_target", *FIGURES, "age_max", "diverged", "failure", "run_dir"])
    for group in comparison.groups:
        runs = iter(group.runs)
        for outcome in group.outcomes:
            cell = outcome.cell
            start = [cell.mode, cell.stragglers, *(value for _, value in cell.point), cell.seed, int(group.is_best)]
            if outcome.failure:
                writer.writerow(start + [""] * (len(FIGURES) + 5) + [outcome.failure, ""])
                continue
            run = next(runs)
            point = comparison.target.reached(run) if comparison.target else None
            to_target = [point.time_s, point.updates, point.samples] if point else ["", "", ""]
            writer.writerow(start + to_target + _figures(run)
                            + [max(run.ages, default=""), int(run.diverged), "", str(outcome.run_dir)])
    return out.getvalue()


def _figures(run: RunFigures) -> list:
    values = {**run.final, "age_mean": ages.mean(run.ages), "age_p99": ages.quantile(run.ages, 0.99)}
    return ["" if values.get(name) is None else values[name] for name in FIGURES]
