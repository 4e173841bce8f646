#!/usr/bin/env python3
"""Experiment (d): which optimizer bears old gradients? SGD, momentum and Adam without a bound, with 1, 4 and 16 workers.

Usage: docs/experiments/d_optimizers.py [--build-dir build] [--out runs/experiment-d]

Each at its best learning rate of a grid, by final accuracy. Prints updates to a test accuracy of 84 %, over those that one
worker needs, and draws them into OUT/d-optimizers.svg; and final accuracies, and what they lack of one worker's.
"""

import sys
from pathlib import Path

import experiment
from experiment import mean, mean_and_range
from rubato_cli.tables import table
from rubato_lab.charts.lines import Axis, Series, line_chart

OPTIMIZERS, WORKERS, SEEDS, EPOCHS, TARGET = ("sgd", "momentum", "adam"), (1, 4, 16), 3, 6, 0.84
RATES = "0.0001,0.0002,0.0005,0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5"


def compare(build_dir: str, out: Path) -> list[dict]:
    return experiment.compare("fashion_mlp", build_dir, out, "--modes", "asp", "--stragglers", "lognormal:0.5",
                              "--vary", f"optimizer.name={','.join(OPTIMIZERS)}",
                              "--vary", f"cluster.workers={','.join(map(str, WORKERS))}",
                              "--grid", f"optimizer.rate={RATES}", "--seeds", SEEDS, "--servers", 1, "--target", TARGET,
                              model__hidden="[128]", train__epochs=EPOCHS)


def main() -> int:
    arguments = experiment.options(__doc__, "d")
    found = {(name, workers): [] for name in OPTIMIZERS for workers in WORKERS}
    for row in compare(arguments.build_dir, arguments.out):
        found[row["optimizer.name"], int(row["cluster.workers"])].append(row)
    lines, series = [], []
    for colour, name in enumerate(OPTIMIZERS):
        alone_at_end = experiment.accuracies(found[name, WORKERS[0]])[0]
        alone = mean([float(row["updates_to_target"]) for row in found[name, WORKERS[0]]])
        points = []
        for workers in WORKERS:
            rows = found[name, workers]
            if not all(row["updates_to_target"] for row in rows):
                lines.append([name, str(workers), rows[0]["optimizer.rate"]] + ["-"] * 7)
                continue
            updates = [float(row["updates_to_target"]) for row in rows]
            times = [value / alone for value in updates]
            points.append((workers, *mean_and_range(times)))
            accuracy, least, most = experiment.accuracies(rows)
            lines.append([name, str(workers), rows[0]["optimizer.rate"], f"{mean([float(row['age_mean']) for row in rows]):.1f}",
                          f"{mean(updates):.0f}", f"{mean(times):.1f}x", f"{min(times):.1f}x to {max(times):.1f}x",
                          f"{accuracy:.1%}", f"{least:.1%} to {most:.1%}", f"{100 * (alone_at_end - accuracy):.1f}"])
        series.append(Series(name, colour, points))
    headings = ["optimizer", "workers", "rate", "mean age", f"updates to {TARGET:.0%}", "of one worker's", "least to most",
                "at the end", "least to most", "points below one worker"]
    print("\n".join(table(headings, lines)))
    high = max(point[3] for entry in series for point in entry.points)
    figure = line_chart("d-optimizers", f"Updates to {TARGET:.0%}, over those of one worker", Axis("workers", values=WORKERS),
                        Axis("times as many updates"), series, (0.0, high))
    print()
    experiment.write(figure, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
