#!/usr/bin/env python3
"""Experiment (a): thirty workers, n-softsync, at the synchronous rate and at that rate over the age of each gradient.

Usage: docs/experiments/a_rate_over_age.py [--build-dir build] [--out runs/experiment-a]

Finds the rate that suits synchronous descent, and trains under softsync:1, 15 and 30 with it and with it over the age:
prints final accuracies and draws accuracy over epochs into OUT/a-same-rate.svg and OUT/a-rate-over-age.svg. All of that
with leases, under which all workers go on until the samples are used up; the second also with equal shares, of which some
workers come to the end before the others: OUT/a-equal-shares.svg. Then each of them at a grid of rates: prints the best,
and draws accuracy against the rate into OUT/a-rates.svg.
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
SYNCHRONOUS_RATES = "0.005,0.01,0.02,0.05,0.1"
SOFTSYNC_RATES = "0.0001,0.0002,0.0005,0.001,0.002,0.005,0.01,0.02,0.05"
EQUAL_STEPS = ("--stragglers", "none")


def compare(build_dir: str, out: Path, *arguments: str) -> list[dict]:
    return experiment.compare("fashion_mlp", build_dir, out, "--workers", WORKERS, "--servers", 1, "--seeds", SEEDS,
                              "--stragglers", "lognormal:0.2", *arguments, optimizer__name="momentum", model__hidden="[64]",
                              train__epochs=EPOCHS)


def grid(rates: str) -> tuple[str, ...]:
    return "--grid", f"optimizer.rate={rates}", "--tuning-seeds", "2"


def softsync(shards: str, *scalings: str) -> tuple[str, ...]:
    return ("--modes", ",".join(MODES), "--vary", f"optimizer.age_scaling={','.join(scalings)}",
            "--set", f"train.batch={BATCH}", "--set", f"data.shards={shards}")


def of(rows: list[dict], mode: str, scaling: str) -> list[dict]:
    return [row for row in rows if (row["mode"], row["optimizer.age_scaling"]) == (mode, scaling)]


def evaluations(rows: list[dict]) -> list[tuple]:
    """The n-th ones of all seeds together."""
    return list(zip(*(RunFigures.read(Path(row["run_dir"])).accuracy for row in rows)))


def accuracy(rows: list[dict]) -> str:
    """Of the end: the mean, and from the least to the greatest."""
    middle, least, most = experiment.accuracies(rows)
    return f"{middle:.1%} ({least:.1%} to {most:.1%})"


def curve(name: str, colour: int, rows: list[dict]) -> Series:
    """Accuracy over epochs."""
    points = []
    for together in evaluations(rows):
        values = [evaluation.value for evaluation in together]
        epochs = mean([evaluation.samples for evaluation in together]) / SAMPLES
        points.append((epochs, *experiment.mean_and_range(values)))
    return Series(name, colour, points)


def draw(out: Path, id_: str, title: str, x_axis: Axis, series: list[Series]) -> None:
    experiment.write(line_chart(id_, title, x_axis, Axis("test accuracy", is_percent=True), series, (0.05, 0.9)), out)


def draw_all(out: Path, rate: str, synchronous: list[dict], same: list[dict], shares: list[dict]) -> None:
    for id_, title, found, scaling in (
            ("a-same-rate", f"Rate {rate}, whatever the age", same, "none"),
            ("a-rate-over-age", f"Rate {rate} over the age of each gradient", same, "inverse"),
            ("a-equal-shares", f"Rate {rate} over the age, equal shares of the data", shares, "inverse")):
        draw(out, id_, title, Axis("epochs"), [curve("bsp", 0, synchronous), *(
            curve(mode, 1 + at, of(found, mode, scaling)) for at, mode in enumerate(MODES))])
    tried, names = experiment.tried(out / "own-rate"), {"none": "", "inverse": ", over the age"}
    draw(out, "a-rates", "Final accuracy at each rate, and at each rate over the age",
         Axis("rate", values=tuple(map(float, SOFTSYNC_RATES.split(",")))),
         [Series(mode + names[scaling], len(MODES) * group + at,
                 experiment.accuracies_at_each("optimizer.rate", of(tried, mode, scaling)))
          for group, scaling in enumerate(SCALINGS) for at, mode in enumerate(MODES)])


def print_table(head: list[str], rows: list[list[str]]) -> None:
    print("\n".join(table(head, rows)) + "\n")


def main() -> int:
    arguments = experiment.options(__doc__, "a")
    build_dir, out = arguments.build_dir, arguments.out
    synchronous = compare(build_dir, out / "synchronous", "--modes", "bsp", *grid(SYNCHRONOUS_RATES),
                          "--set", f"train.batch={WORKERS * BATCH}", "--set", "train.micro_batches=32")
    rate = synchronous[0]["optimizer.rate"]
    at_rate = "--set", f"optimizer.rate={rate}"
    same = compare(build_dir, out / "same-rate", *softsync("leased", *SCALINGS), *at_rate)
    shares = compare(build_dir, out / "equal-shares", *softsync("static", "inverse"), *at_rate)
    together = compare(build_dir, out / "equal-steps", *softsync("static", "inverse"), *at_rate, *EQUAL_STEPS)
    own = compare(build_dir, out / "own-rate", *softsync("leased", *SCALINGS), *grid(SOFTSYNC_RATES))

    print(f"bsp at its best rate, {rate}: {accuracy(synchronous)}\n")
    rows = []
    for mode in MODES:
        ages = [float(row["age_mean"]) for row in of(same, mode, "inverse")]
        rows.append([mode, f"{mean(ages):.1f}", *(accuracy(of(same, mode, scaling)) for scaling in SCALINGS)])
    print_table(["", "mean age", f"at {rate}", f"at {rate} over the age"], rows)
    print_table(["", "at its own best rate", "the same, over the age"],
                [[mode, *(f"{accuracy(of(own, mode, scaling))} at {of(own, mode, scaling)[0]['optimizer.rate']}"
                          for scaling in SCALINGS)] for mode in MODES])
    print_table([f"at {rate} over the age", "leases", "equal shares", "equal shares, equal steps"],
                [[mode, *(accuracy(of(found, mode, "inverse")) for found in (same, shares, together))] for mode in MODES])
    draw_all(out, rate, synchronous, same, shares)
    return 0


if __name__ == "__main__":
    sys.exit(main())
