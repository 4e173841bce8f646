#!/usr/bin/env python3
"""Experiment (c): with backup workers a clock takes as long as the N - B fastest of N steps.

Usage: docs/experiments/c_backup_workers.py [--build-dir build] [--out runs/experiment-c]

Sixteen simulated workers whose steps take 10 ms (1 + E), E exponential of mean 1, under backup:B for several B. Prints
milliseconds a clock beside the order statistic and beside a loop of a few lines that is no part of Rubato, and draws
them into OUT/c-backup-workers.svg.
"""

import random
import sys
from pathlib import Path

import experiment
from experiment import mean
from rubato_cli.tables import table
from rubato_lab.charts.lines import Axis, Series, line_chart

WORKERS, BACKUPS, STEP_MS, CLOCKS, SEEDS = 16, (0, 1, 2, 3, 4, 6, 8), 10.0, 300, 2
LOOP_CLOCKS = 20_000


def order_statistic(count: int, of: int) -> float:
    """Milliseconds until `count` of so many fresh steps are done: the mean of the count-th order statistic of
    exponential variables is the sum of 1 / i over the last `count` integers up to `of` (Renyi 1953)."""
    return STEP_MS * (1 + sum(1 / i for i in range(of - count + 1, of + 1)))


def looped(backups: int) -> float:
    """The same, where nobody abandons a step: who is late begins the clock that is then open late."""
    draw = random.Random(1)
    free = [0.0] * WORKERS  # when each worker has done what it has in hand
    now = 0.0
    for _ in range(LOOP_CLOCKS):
        done = [max(now, at) + STEP_MS * (1 + draw.expovariate(1.0)) for at in free]
        now = sorted(done)[WORKERS - backups - 1]
        # Whoever was busy until after the clock closed never began it.
        free = [at if at > now else end for at, end in zip(free, done)]
    return now / LOOP_CLOCKS


def measured(build_dir: str, out: Path) -> dict[int, list[float]]:
    modes = ",".join(f"backup:{backups}" for backups in BACKUPS)
    found = {backups: [] for backups in BACKUPS}
    for row in experiment.compare("quadratic", build_dir, out, "--modes", modes, "--stragglers", "exponential:1",
                                  "--workers", WORKERS, "--servers", 1, "--seeds", SEEDS, train__steps=CLOCKS,
                                  evaluation__enabled="false", simulation__network_us=0, simulation__step_ms=STEP_MS):
        found[int(row["mode"].partition(":")[2])].append(1000 * float(row["train_s"]) / int(row["updates"]))
    return found


def main() -> int:
    arguments = experiment.options(__doc__, "c")
    runs = measured(arguments.build_dir, arguments.out)
    theory = {backups: order_statistic(WORKERS - backups, WORKERS) for backups in BACKUPS}
    loop = {backups: looped(backups) for backups in BACKUPS}
    rows = [[str(backups), f"{mean(times):.1f}", f"{min(times):.1f}..{max(times):.1f}", f"{theory[backups]:.1f}",
             f"{loop[backups]:.1f}"]
            for backups, times in runs.items()]
    print("\n".join(table(["B", "ms a clock", "least..most", "order statistic", "steps are finished"], rows)))
    series = [Series("Rubato", 0, [(b, *experiment.mean_and_range(t)) for b, t in runs.items()]),
              Series("order statistic of fresh steps", 1, [(b, *[theory[b]] * 3) for b in BACKUPS]),
              Series("loop in which steps are finished", 2, [(b, *[loop[b]] * 3) for b in BACKUPS])]
    figure = line_chart("c-backup-workers", "Milliseconds a clock with B backup workers of 16", Axis("B"), Axis("ms a clock"),
                        series, (0.0, max(theory.values())))
    print()
    experiment.write(figure, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
