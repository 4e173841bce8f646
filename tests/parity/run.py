#!/usr/bin/python3
"""Holds Rubato's test accuracy against PyTorch's: same network, optimizer, schedule, samples per update, epochs.

Usage: tests/parity/run.py [--job fashion_cnn] [--epochs E] [--seeds 3] [--modes bsp,ssp:3,asp]

Trains the job once a seed in PyTorch and once a seed and mode in Rubato, one after another, and compares the
means over the seeds. An update is `train.batch` samples on either side (in bsp the batch of all workers
together, otherwise the batch of a push), so every mode makes as many updates as PyTorch. Nothing is kept
between calls. Exit code: 0 all modes within the tolerance, 1 not, 2 a run failed, 77 no PyTorch here.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

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
    parser.add_argument("--build-dir", default=HERE.parents[1] / "build", help="where Rubato was built")
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    return parser.parse_args(words)


def torch_environment():
    """The settings under which Debian's PyTorch is fastest: its BLAS does not know new processors by itself,
    and its allocator gives large blocks back to the system at each step."""
    environment = dict(os.environ, MALLOC_MMAP_THRESHOLD_="1000000000", MALLOC_TRIM_THRESHOLD_="2000000000",
                       MALLOC_TOP_PAD_="67108864")
    if " avx512f " in Path("/proc/cpuinfo").read_text():
        environment["OPENBLAS_CORETYPE"] = "SKYLAKEX"
    return environment


def train_with_torch(job_file, seed):
    words = [sys.executable, HERE / "torch_training.py", job_file, str(seed)]
    result = subprocess.run(words, capture_output=True, text=True, env=torch_environment())
    if result.returncode != 0:
        raise RunFailed(f"PyTorch, seed {seed}: {result.stderr.strip()}")
    return json.loads(result.stdout)["accuracy"]


def measure(options):
    """Accuracies by trainer, one a seed."""
    job = Path(options.job) if options.job.endswith(".toml") else ROOT / "jobs" / f"{options.job}.toml"
    settings = options.set + ([f"train.epochs={options.epochs}"] if options.epochs else [])
    modes, seeds = options.modes.split(","), range(1, options.seeds + 1)
    accuracies = {trainer: [] for trainer in ["pytorch", *modes]}
    with temporary_folder() as folder:
        job_file = resolve(job, options.build_dir, folder, settings)
        for seed in seeds:
            accuracies["pytorch"].append(train_with_torch(job_file, seed))
            for mode in modes:
                run_dir = f"{folder}/{mode.replace(':', '-')}-{seed}"
                chosen = [*settings, f"consistency.mode={mode}", f"train.seed={seed}"]
                accuracies[mode].append(run(job, options.build_dir, run_dir, chosen)["test_accuracy"])
            print(f"seed {seed}: " + ", ".join(f"{who} {100 * all_[-1]:.2f}" for who, all_ in accuracies.items()),
                  file=sys.stderr, flush=True)
    return accuracies


def report(options, accuracies):
    """Prints the table; returns whether all is within the tolerance."""
    means = {trainer: 100 * statistics.mean(values) for trainer, values in accuracies.items()}
    print(f"{options.job}: test accuracy in percent, mean of {options.seeds} seeds (limit: within "
          f"{options.tolerance:g} of PyTorch)")
    print(f"{'':>10} {'mean':>7} {'least':>7} {'most':>7} {'difference':>11}")
    all_within = True
    for trainer, values in accuracies.items():
        difference = means[trainer] - means["pytorch"]
        within = abs(difference) <= options.tolerance
        all_within = all_within and within
        verdict = "" if trainer == "pytorch" else f"{difference:+11.2f}" + ("" if within else "  too far")
        print(f"{trainer:>10} {means[trainer]:7.2f} {100 * min(values):7.2f} {100 * max(values):7.2f} {verdict}")
    if options.json:
        figures = {"job": options.job, "tolerance": options.tolerance, "accuracies": accuracies, "within": all_within}
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    return all_within


def main(words):
    options = parse(words)
    try:
        accuracies = measure(options)
    except RunFailed as failure:
        print(f"parity: {failure}", file=sys.stderr)
        return 2
    return 0 if report(options, accuracies) else 1


if __name__ == "__main__":
    if importlib.util.find_spec("torch") is None:
        print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
        sys.exit(SKIPPED)
    from rubato_runs import ROOT, RunFailed, resolve, run, temporary_folder

    sys.exit(main(sys.argv[1:]))
