"""What the experiments share: their options, runs of `scripts/rubato compare`, and a figure beside the runs.

Usage: experiment.py is a library of the scripts here.
"""

import argparse
import csv
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from rubato_lab.charts.figure import Figure  # noqa: E402


def options(doc: str, letter: str) -> argparse.Namespace:
    """`build_dir`, and `out`, where the runs and the figure go."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", default=str(ROOT / "build"))
    parser.add_argument("--out", type=Path, default=Path("runs") / f"experiment-{letter}")
    return parser.parse_args()


def compare(job: str, build_dir: str, out: Path, *words, **settings) -> list[dict]:
    """The rows of RUNS.csv, without those that only chose a point of the grid. `settings`: train__epochs=3 is
    --set train.epochs=3."""
    sets = [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
    subprocess.run([ROOT / "scripts/rubato", "compare", ROOT / "jobs" / f"{job}.toml", *map(str, words), *sets,
                    "--build-dir", build_dir, "--out", out], check=True, stdout=subprocess.DEVNULL)
    return [row for row in _runs(out) if row["tuning"] == "0"]


def tried(out: Path) -> list[dict]:
    """The rows that `compare` left out: those that chose a point of the grid."""
    return [row for row in _runs(out) if row["tuning"] == "1"]


def _runs(out: Path) -> list[dict]:
    with open(out / "RUNS.csv") as file:
        return list(csv.DictReader(file))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def mean_and_range(values: list[float]) -> tuple[float, float, float]:
    """Mean, least, greatest."""
    return mean(values), min(values), max(values)


def accuracies(rows: list[dict]) -> tuple[float, float, float]:
    """At the end: mean, least, greatest. A run that diverged guesses one class in ten."""
    return mean_and_range([float(row["test_accuracy"] or 0.1) for row in rows])


def accuracies_at_each(key: str, rows: list[dict]) -> list[tuple[float, float, float, float]]:
    """The points of a curve of final accuracy against the values of a key."""
    found = defaultdict(list)
    for row in rows:
        found[float(row[key])].append(row)
    return [(value, *accuracies(found[value])) for value in sorted(found)]


def write(figure: Figure, out: Path) -> None:
    path = out / f"{figure.id}.svg"
    path.write_text(figure.file)
    print(path)
