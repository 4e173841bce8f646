#!/usr/bin/env python3
"""Experiment (a): thirty workers, n-softsync, at the synchronous rate and at that rate over the age of each gradient.

Usage: docs/experiments/a_rate_over_age.py [--build-dir build] [--out runs/experiment-a]

Finds the rate that suits synchronous descent, trains under softsync:1, 15 and 30 with it and with it over the age, and
then each of them at the rate that suits it best. Prints accuracies at the last evaluation before workers run out of
samples (at 1.9 of two epochs) and at the end, and draws accuracy over epochs into
OUT/a-same-rate.svg and OUT/a-rate-over-age.svg.
"""

import sys
from pathlib import Path

import experiment
from experiment import mean
from rubato_cli.tables import table
from rubato_lab.charts.lines import Axis, Series, line_chart
from rubato_lab.run_figures import RunFigures

WORKERS, BATCH, SEEDS, EPOCHS, SAMPLES = 30, 4, 3, 2, 60_000
MODES, SCALINGS = ("softsync:1", "softsync:15", "softsync:30"), ("none", "inverse")
SYNCHRONOUS_RATES, SOFTSYNC_RATES = "0.005,0.01,0.02,0.05,0.1", "0.0005,0.001,0.002,0.005,0.01,0.02,0.05"


def compare(build_dir: str, out: Path, *arguments: str) -> list[dict]:
    return experiment.compare("fashion_mlp", build_dir, out, "--workers", WORKERS, "--servers", 1, "--seeds", SEEDS,
                              "--stragglers", "lognormal:0.2", *arguments, model__hidden="[64]", train__epochs=EPOCHS)


def grid(rates: str) -> tuple[str, ...]:
    return "--grid", f"optimizer.rate={rates}", "--tuning-seeds", "2"


def of(rows: list[dict], mode: str, scaling: str) -> list[dict]:
    return [row for row in rows if (row["mode"], row["optimizer.age_scaling"]) == (mode, scaling)]


def evaluations(rows: list[dict]) -> list[tuple]:
    """The n-th ones of all seeds together."""
    return list(zip(*(RunFigures.read(Path(row["run_dir"])).accuracy for row in rows)))


def accuracy(rows: list[dict]) -> str:
    """Means of the last evaluation but one and of the last, and from the least to the greatest of that."""
    *_, before, last = [[evaluation.value for evaluation in together] for together in evaluations(rows)]
    return f"{mean(before):.1%}, {mean(last):.1%} ({min(last):.1%} to {max(last):.1%})"


def curve(name: str, colour: int, rows: list[dict]) -> Series:
    """Accuracy over epochs."""
    points = []
    for together in evaluations(rows):
        values = [evaluation.value for evaluation in together]
        epochs = mean([evaluation.samples for evaluation in together]) / SAMPLES
        points.append((epochs, *experiment.mean_and_range(values)))
    return Series(name, colour, points)


def draw(out: Path, id_: str, title: str, series: list[Series]) -> None:
    experiment.write(line_chart(id_, title, Axis("epochs"), Axis("test accuracy", is_percent=True), series, (0.0, 0.9)), out)


def main() -> int:
    arguments = experiment.options(__doc__, "a")
    out = arguments.out
    softsync = ("--modes", ",".join(MODES), "--vary", f"optimizer.age_scaling={','.join(SCALINGS)}",
                "--set", f"train.batch={BATCH}")
    synchronous = compare(arguments.build_dir, out / "synchronous", "--modes", "bsp", *grid(SYNCHRONOUS_RATES),
                          "--set", f"train.batch={WORKERS * BATCH}", "--set", "train.micro_batches=32")
    rate = synchronous[0]["optimizer.rate"]
    same = compare(arguments.build_dir, out / "same-rate", *softsync, "--set", f"optimizer.rate={rate}")
    own = compare(arguments.build_dir, out / "own-rate", *softsync, *grid(SOFTSYNC_RATES))

    print(f"bsp at its best rate, {rate}: {accuracy(synchronous)}\n")
    head = ["", "mean age", f"at {rate}", f"at {rate} over the age", "at its own best rate", "the same, over the age"]
    rows = []
    for mode in MODES:
        best = [f"{accuracy(of(own, mode, scaling))} at {of(own, mode, scaling)[0]['optimizer.rate']}" for scaling in SCALINGS]
        ages = [float(row["age_mean"]) for row in of(same, mode, "inverse")]
        rows.append([mode, f"{mean(ages):.1f}", *(accuracy(of(same, mode, scaling)) for scaling in SCALINGS), *best])
    print("\n".join(table(head, rows)) + "\n")
    for scaling, id_, title in (("none", "a-same-rate", f"Rate {rate}, whatever the age"),
                                ("inverse", "a-rate-over-age", f"Rate {rate} over the age of each gradient")):
        draw(out, id_, title, [curve("bsp", 0, synchronous),
                               *(curve(mode, 1 + at, of(same, mode, scaling)) for at, mode in enumerate(MODES))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
