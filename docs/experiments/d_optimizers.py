#!/usr/bin/env python3
"""Experiment (d): which optimizer bears old gradients? SGD, momentum and Adam without a bound, with 1, 4 and 16 workers.

Usage: docs/experiments/d_optimizers.py [--build-dir build] [--out runs/experiment-d]

Each at its best learning rate of a grid. Prints updates to a test accuracy of 84 %, over those that one worker needs,
and draws them into OUT/d-optimizers.svg.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from rubato_cli.tables import table  # noqa: E402
from rubato_lab.charts.lines import Axis, Series, line_chart  # noqa: E402

OPTIMIZERS, WORKERS, SEEDS, EPOCHS, TARGET = ("sgd", "momentum", "adam"), (1, 4, 16), 3, 6, 0.84
RATES = "0.0001,0.0002,0.0005,0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5"


def compare(build_dir: str, out: Path) -> list[dict]:
    """The rows of the runs that are shown."""
    subprocess.run([ROOT / "scripts/rubato", "compare", ROOT / "jobs/fashion_mlp.toml", "--modes", "asp",
                    "--stragglers", "lognormal:0.5", "--vary", f"optimizer.name={','.join(OPTIMIZERS)}",
                    "--vary", f"cluster.workers={','.join(map(str, WORKERS))}", "--grid", f"optimizer.rate={RATES}",
                    "--seeds", str(SEEDS), "--servers", "1", "--target", str(TARGET), "--set", "model.hidden=[128]",
                    "--set", f"train.epochs={EPOCHS}", "--build-dir", build_dir, "--out", out],
                   check=True, stdout=subprocess.DEVNULL)
    with open(out / "RUNS.csv") as file:
        return [row for row in csv.DictReader(file) if row["tuning"] == "0"]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", default=str(ROOT / "build"))
    parser.add_argument("--out", type=Path, default=Path("runs/experiment-d"))
    arguments = parser.parse_args()
    found = {(name, workers): [] for name in OPTIMIZERS for workers in WORKERS}
    for row in compare(arguments.build_dir, arguments.out):
        found[row["optimizer.name"], int(row["cluster.workers"])].append(row)
    lines, series = [], []
    for colour, name in enumerate(OPTIMIZERS):
        alone = mean([float(row["updates_to_target"]) for row in found[name, WORKERS[0]]])
        points = []
        for workers in WORKERS:
            rows = found[name, workers]
            if not all(row["updates_to_target"] for row in rows):
                lines.append([name, str(workers), rows[0]["optimizer.rate"]] + ["-"] * 5)
                continue
            updates = [float(row["updates_to_target"]) for row in rows]
            times = [value / alone for value in updates]
            points.append((workers, mean(times), min(times), max(times)))
            accuracy = [float(row["test_accuracy"]) for row in rows]
            lines.append([name, str(workers), rows[0]["optimizer.rate"], f"{mean([float(row['age_mean']) for row in rows]):.1f}",
                          f"{mean(updates):.0f}", f"{mean(times):.1f}x", f"{min(times):.1f}x to {max(times):.1f}x",
                          f"{100 * mean(accuracy):.1f}%"])
        series.append(Series(name, colour, points))
    headings = ["optimizer", "workers", "rate", "mean age", f"updates to {TARGET:.0%}", "of one worker's", "least to most", "at the end"]
    print("\n".join(table(headings, lines)))
    high = max(point[3] for entry in series for point in entry.points)
    figure = line_chart("d-optimizers", f"Updates to {TARGET:.0%}, over those of one worker", Axis("workers", values=WORKERS),
                        Axis("times as many updates"), series, (0.0, high))
    path = arguments.out / f"{figure.id}.svg"
    path.write_text(figure.file)
    print(f"\n{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
