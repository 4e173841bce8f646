#!/usr/bin/env python3
"""Experiment (f): delay compensation, constant and adaptive, against none, with four and eight workers without a bound.

Usage: docs/experiments/f_delay_compensation.py [--build-dir build] [--out runs/experiment-f]

Each at its best learning rate and lambda of a grid, and synchronous descent at its best rate beside them. Prints final
accuracies over five seeds, and draws them into OUT/f-delay-compensation.svg.
"""

import sys
from pathlib import Path

import experiment
from rubato_cli.tables import table
from rubato_lab.charts.lines import Axis, Series, line_chart

WORKERS, BATCH, SEEDS, EPOCHS = (4, 8), 32, 5, 2
KINDS = ("none", "constant", "adaptive")
RATES, LAMBDAS = "0.01,0.02,0.05,0.1", "0,10,100"  # lambda 0 is the paper's, 0.04 and 2


def compare(build_dir: str, out: Path, workers: int, *arguments: str) -> list[dict]:
    return experiment.compare("fashion_mlp", build_dir, out, "--workers", workers, "--servers", 1, "--seeds", SEEDS,
                              "--stragglers", "lognormal:0.5", "--grid", f"optimizer.rate={RATES}", "--tuning-seeds", 2,
                              *arguments, optimizer__name="sgd", model__hidden="[64]", train__epochs=EPOCHS,
                              train__batch=BATCH)


def main() -> int:
    arguments = experiment.options(__doc__, "f")
    found = {}  # (workers, name) -> rows
    for workers in WORKERS:
        out = arguments.out / f"{workers}-workers"
        found[workers, "bsp"] = compare(arguments.build_dir, out / "synchronous", workers, "--modes", "bsp",
                                        "--set", f"train.micro_batches={max(WORKERS)}")
        rows = compare(arguments.build_dir, out / "asynchronous", workers, "--modes", "asp",
                       "--vary", f"optimizer.compensation.name={','.join(KINDS)}",
                       "--grid", f"optimizer.compensation.lambda={LAMBDAS}")
        for kind in KINDS:
            found[workers, kind] = [row for row in rows if row["optimizer.compensation.name"] == kind]
    lines = []
    for (workers, name), rows in found.items():
        mean, least, most = experiment.accuracies(rows)
        ages = experiment.mean([float(row["age_mean"]) for row in rows])
        strength = rows[0]["optimizer.compensation.lambda"] if name in KINDS[1:] else ""
        lines.append([str(workers), name, f"{ages:.1f}", rows[0]["optimizer.rate"], strength, f"{mean:.2%}",
                      f"{least:.2%} to {most:.2%}"])
    print("\n".join(table(["workers", "", "mean age", "rate", "lambda", "accuracy", "least to most"], lines)) + "\n")
    series = [Series(name, colour, [(workers, *experiment.accuracies(found[workers, name])) for workers in WORKERS])
              for colour, name in enumerate(("bsp", *KINDS))]
    lowest = min(point[2] for entry in series for point in entry.points)
    highest = max(point[3] for entry in series for point in entry.points)
    figure = line_chart("f-delay-compensation", "Final accuracy with delay compensation, five seeds",
                        Axis("workers", values=WORKERS), Axis("test accuracy", is_percent=True), series, (lowest, highest))
    experiment.write(figure, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
