#!/usr/bin/env python3
"""Experiment (b): a bound does not help against a worker that is always slow, leases do; against slowness that passes
a bound does.

Usage: docs/experiments/b_leases.py [--build-dir build] [--out runs/experiment-b]

Eight simulated workers on Fashion-MNIST. First worker 0 is slower by a factor, under ssp:4, with equal shares and with
leases: prints what the job got done, and draws it into OUT/b-leases.svg. Then all workers are slow now and then, under
bsp and ssp. Each row at the best of a grid of learning rates, which fall to nothing along half a cosine: so the last
steps are small, and what a run ends with is not the noise of its last steps.
"""

import sys
from collections import defaultdict

import experiment
from rubato_cli.tables import table
from rubato_lab.charts.lines import Axis, Series, line_chart

WORKERS, SEEDS, TARGET = 8, 3, 0.82
FACTORS = (1, 2, 4, 8, 16)
PASSING = "exponential:1"  # a step takes 1 + E times as long, E exponential of mean 1
# A worker's 64 samples take 1 + 9 ms; so all of a bsp batch, 64 of each worker, would take one worker 1 + 72 ms.
ARRIVAL = {"train__batch": 64, "simulation__step_ms": 10, "simulation__step_fixed": 0.1}
BSP = {"train__batch": 64 * WORKERS, "simulation__step_ms": 73, "simulation__step_fixed": 1 / 73,
       "train__micro_batches": WORKERS}
COMMON = {"train__epochs": 3, "optimizer__name": "sgd", "optimizer__schedule__name": "cosine", "model__hidden": "[128]"}
RATES, BSP_RATES = "0.02,0.05,0.1,0.2", "0.1,0.2,0.4,0.8"


def straggler(factor: int) -> str:
    return "none" if factor == 1 else f"persistent:{factor}x"


def compared(arguments, name: str, modes: str, stragglers: str, rates: str, shards: str, settings: dict) -> dict:
    """(mode, shards, stragglers) -> rows of RUNS.csv, at the best rate."""
    found = defaultdict(list)
    for row in experiment.compare("fashion_mlp", arguments.build_dir, arguments.out / name, "--modes", modes,
                                  "--stragglers", stragglers, "--workers", WORKERS, "--seeds", SEEDS, "--target", TARGET,
                                  "--vary", f"data.shards={shards}", "--grid", f"optimizer.rate={rates}",
                                  "--tuning-seeds", SEEDS, **COMMON, **settings):
        found[row["mode"], row["data.shards"], row["stragglers"]].append(row)
    return found


def numbers(rows: list[dict], field: str) -> tuple[float, float, float]:
    return experiment.mean_and_range([float(row[field]) for row in rows])


def spread(values: tuple[float, float, float], form: str, unit: str = "") -> str:
    """`12,759 (12,700..12,801)`: the mean, the least, the greatest."""
    middle, least, most = (format(value, form) for value in values)
    return f"{middle}{unit} ({least}..{most})"


def words(mode: str, shards: str, stragglers: str, rows: list[dict]) -> list[str]:
    accuracy, least, most = numbers(rows, "test_accuracy")
    reached = [float(row["time_to_target_s"]) for row in rows if row["time_to_target_s"]]
    all_there = len(reached) == len(rows)
    time = spread(experiment.mean_and_range(reached), ".2f", " s") if all_there else f"{len(reached)} of {len(rows)}"
    return [stragglers, mode, shards, rows[0]["optimizer.rate"], spread(numbers(rows, "samples_per_s"), ",.0f"),
            f"{100 * numbers(rows, 'wait_share')[0]:.0f}%", time, f"{100 * accuracy:.1f}%",
            f"{100 * least:.1f}..{100 * most:.1f}%"]


def figure(found: dict):
    """Samples a second against the factor, beside what the eight could do if nobody waited."""
    def curve(shards: str) -> list:
        return [(factor, *numbers(found["ssp:4", shards, straggler(factor)], "samples_per_s")) for factor in FACTORS]

    whole = numbers(found["ssp:4", "static", "none"], "samples_per_s")[0]
    able = [(factor, *[whole * (WORKERS - 1 + 1 / factor) / WORKERS] * 3) for factor in FACTORS]
    series = [Series("ssp:4, leases", 0, curve("leased")), Series("ssp:4, equal shares", 1, curve("static")),
              Series("speeds of all workers added up", 2, able)]
    return line_chart("b-leases", "Samples a second while worker 0 of 8 is slower", Axis("slower by", values=FACTORS),
                      Axis("samples/s"), series, (0.0, whole))


def main() -> int:
    arguments = experiment.options(__doc__, "b")
    steady = compared(arguments, "steady", "ssp:4", ",".join(map(straggler, FACTORS)), RATES, "static,leased", ARRIVAL)
    passing = compared(arguments, "bsp", "bsp", PASSING, BSP_RATES, "static", BSP)
    passing |= compared(arguments, "ssp", "ssp:1,ssp:4", PASSING, RATES, "static,leased", ARRIVAL)
    head = ["stragglers", "mode", "shards", "rate", "samples/s", "waited", f"time to {100 * TARGET:.0f}%", "accuracy",
            "least..most"]
    for found in (steady, passing):
        print("\n".join(table(head, [words(*key, rows) for key, rows in found.items()])), end="\n\n")
    experiment.write(figure(steady), arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
