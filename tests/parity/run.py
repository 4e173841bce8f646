#!/usr/bin/python3
"""Holds Rubato's test accuracy against PyTorch's: same network, optimizer, schedule, samples per update, epochs.

Of a network that predicts numbers it is the test loss.

Usage: tests/parity/run.py [--job fashion_cnn] [--epochs E] [--seeds 3] [--modes bsp,ssp:3,asp]

Trains the job once a seed in PyTorch and once a seed and mode in Rubato, one after another, and compares the
means over the seeds. An update is `train.batch` samples on either side (in bsp the batch of all workers
together, otherwise the batch of a push), so every mode makes as many updates as PyTorch. Nothing is kept
between calls. Exit code: 0 all modes within the tolerance, 1 not, 2 a run failed, 77 no PyTorch here.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path

from torch_environment import torch_environment

SKIPPED = 77
HERE = Path(__file__).resolve().parent


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", default="fashion_cnn", help="a name in jobs/, or a file (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="instead of the job's")
    parser.add_argument("--seeds", type=int, default=3, help="how many: 1, 2, ... (default: %(default)s)")
    parser.add_argument("--modes", default="bsp,ssp:3,asp", help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the job file")
    parser.add_argument("--tolerance", type=float, default=1.0, help="in points (default: %(default)s)")
    parser.add_argument("--loss-tolerance", type=float, default=20.0, metavar="PERCENT",
                        help="by which a test loss may be above PyTorch's (default: %(default)s)")
    parser.add_argument("--build-dir", default=HERE.parents[1] / "build", help="where Rubato was built")
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    return parser.parse_args(words)


def train_with_torch(job_file, seed):
    words = [sys.executable, HERE / "torch_training.py", job_file, str(seed)]
    result = subprocess.run(words, capture_output=True, text=True, env=torch_environment())
    if result.returncode != 0:
        raise RunFailed(f"PyTorch, seed {seed}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def measure(options):
    """Accuracies in percent, or losses, by trainer, one a seed; and which of the two."""
    job = Path(options.job) if options.job.endswith(".toml") else ROOT / "jobs" / f"{options.job}.toml"
    settings = options.set + ([f"train.epochs={options.epochs}"] if options.epochs else [])
    modes, seeds = options.modes.split(","), range(1, options.seeds + 1)
    figures = {trainer: [] for trainer in ["pytorch", *modes]}
    with temporary_folder() as folder:
        job_file = resolve(job, options.build_dir, folder, settings)
        for seed in seeds:
            peer = train_with_torch(job_file, seed)
            name = "loss" if peer["accuracy"] is None else "accuracy"
            scale = 100 if name == "accuracy" else 1
            figures["pytorch"].append(scale * peer[name])
            for mode in modes:
                run_dir = f"{folder}/{mode.replace(':', '-')}-{seed}"
                chosen = [*settings, f"consistency.mode={mode}", f"train.seed={seed}"]
                figures[mode].append(scale * run(job, options.build_dir, run_dir, chosen)[f"test_{name}"])
            print(f"seed {seed}: " + ", ".join(f"{who} {shown(all_[-1], name)}" for who, all_ in figures.items()),
                  file=sys.stderr, flush=True)
    return name, figures


def shown(figure, name):
    return f"{figure:.2f}" if name == "accuracy" else f"{figure:.5f}"


def report(options, name, figures):
    """Prints the table; returns whether all is within the tolerance."""
    means = {trainer: statistics.mean(values) for trainer, values in figures.items()}
    points = name == "accuracy"
    limit = f"within {options.tolerance:g} of PyTorch" if points else f"at most {options.loss_tolerance:g} % above PyTorch's"
    print(f"{options.job}: test {name}{' in percent' * points}, mean of {options.seeds} seeds (limit: {limit})")
    print(f"{'':>10} {'mean':>8} {'least':>8} {'most':>8} {'difference':>11}")
    all_within = True
    for trainer, values in figures.items():
        difference = means[trainer] - means["pytorch"]
        if not points:
            difference *= 100 / means["pytorch"]
        within = abs(difference) <= options.tolerance if points else difference <= options.loss_tolerance
        all_within = all_within and within
        verdict = "" if trainer == "pytorch" else f"{difference:+10.2f}{' ' if points else '%'}" + ("" if within else "  too far")
        print(" ".join([f"{trainer:>10}", *(f"{shown(value, name):>8}" for value in (means[trainer], min(values), max(values))), verdict]))
    if options.json:
        of_all = {"job": options.job, "tolerance": options.tolerance, "figure": name, "figures": figures, "within": all_within}
        Path(options.json).write_text(json.dumps(of_all, indent=2) + "\n")
    return all_within


def main(options):
    try:
        name, figures = measure(options)
    except RunFailed as failure:
        print(f"parity: {failure}", file=sys.stderr)
        return 2
    return 0 if report(options, name, figures) else 1


if __name__ == "__main__":
    chosen_options = parse(sys.argv[1:])  # so that --help needs nothing
    if importlib.util.find_spec("torch") is None:
        print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
        sys.exit(SKIPPED)
    from rubato_runs import ROOT, RunFailed, resolve, run, temporary_folder

    sys.exit(main(chosen_options))
