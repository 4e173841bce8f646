#!/usr/bin/env python3
"""Experiment (e): asynchronous local SGD, with Nesterov's momentum on each delta as it arrives and with delayed Nesterov.

Usage: docs/experiments/e_delayed_nesterov.py [--build-dir build] [--out runs/experiment-e]

Eight simulated workers take sixteen local steps a clock: in lockstep with Nesterov's outer rule, and without a bound with
it and with delayed Nesterov. Each at the best of a grid of outer rates. Prints final accuracies over five seeds, and
draws the accuracy that each rate of the grid ends with into OUT/e-delayed-nesterov.svg.
"""

import sys

import experiment
from experiment import mean
from rubato_cli.tables import table
from rubato_lab.charts.lines import Axis, Series, line_chart

WORKERS, SEEDS, EPOCHS, TARGET = 8, 5, 4, 0.85
LOCKSTEP, UNBOUNDED = "local:16", "local:16+asp"
ROWS = ((LOCKSTEP, "nesterov"), (UNBOUNDED, "nesterov"), (UNBOUNDED, "delayed_nesterov"))
RATE = "optimizer.outer.rate"
RATES = "0.003,0.006,0.0125,0.025,0.05,0.1,0.2,0.4,0.7,1,1.4"


def compare(arguments, mode: str) -> tuple[list[dict], list[dict]]:
    """The runs at the best rate, and those that chose it."""
    out = arguments.out / mode.replace(":", "-")
    rules = ",".join(rule for its, rule in ROWS if its == mode)
    best = experiment.compare("fashion_mlp", arguments.build_dir, out, "--modes", mode, "--workers", WORKERS,
                              "--vary", f"optimizer.outer.name={rules}", "--grid", f"{RATE}={RATES}", "--seeds", SEEDS,
                              "--tuning-seeds", 2, "--stragglers", "lognormal:0.5", "--target", TARGET,
                              model__hidden="[64]", train__epochs=EPOCHS, train__batch=32, optimizer__name="sgd",
                              optimizer__rate=0.05)
    return best, experiment.tried(out)


def of(rows: list[dict], mode: str, rule: str) -> list[dict]:
    return [row for row in rows if (row["mode"], row["optimizer.outer.name"]) == (mode, rule)]


def words(rows: list[dict]) -> list[str]:
    def average(field: str) -> float:
        return mean([float(row[field]) for row in rows])

    accuracy, least, most = experiment.accuracies(rows)
    reached = [float(row["time_to_target_s"]) for row in rows if row["time_to_target_s"]]
    time = f"{mean(reached):.1f} s" if len(reached) == len(rows) else f"{len(reached)} of {len(rows)}"
    return [rows[0]["mode"], rows[0]["optimizer.outer.name"], rows[0][RATE], f"{accuracy:.2%}",
            f"{least:.2%} to {most:.2%}", f"{average('age_mean'):.1f}", f"{average('updates'):.0f}", time,
            f"{average('train_s'):.1f} s", f"{average('wait_share'):.0%}"]


def main() -> int:
    arguments = experiment.options(__doc__, "e")
    best, tried = [], []
    for mode in (LOCKSTEP, UNBOUNDED):
        runs, tuning = compare(arguments, mode)
        best += runs
        tried += tuning
    head = ["mode", "outer rule", "rate", "accuracy", "least to most", "mean age", "updates", f"to {TARGET:.0%}", "in all",
            "waited"]
    print("\n".join(table(head, [words(of(best, *row)) for row in ROWS])) + "\n")
    series = [Series(", ".join(row), colour, experiment.accuracies_at_each(RATE, of(tried, *row)))
              for colour, row in enumerate(ROWS)]
    for entry in series:
        print(f"{entry.name}: " + ", ".join(f"{rate:g} {accuracy:.1%}" for rate, accuracy, _, _ in entry.points))
    figure = line_chart("e-delayed-nesterov", "Final accuracy at each outer rate that was tried",
                        Axis("outer rate", values=tuple(map(float, RATES.split(",")))),
                        Axis("test accuracy", is_percent=True), series, (0.05, 0.9))
    print()
    experiment.write(figure, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
