"""What the experiments share: their options, runs of `scripts/rubato compare`, and a figure beside the runs.

Usage: experiment.py is a library of the scripts here.
"""

import argparse
import csv
import subprocess
import sys
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
    with open(out / "RUNS.csv") as file:
        return [row for row in csv.DictReader(file) if row["tuning"] == "0"]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def mean_and_range(values: list[float]) -> tuple[float, float, float]:
    """Mean, least, greatest."""
    return mean(values), min(values), max(values)


def write(figure: Figure, out: Path) -> None:
    path = out / f"{figure.id}.svg"
    path.write_text(figure.file)
    print(path)
