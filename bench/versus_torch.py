#!/usr/bin/env python3
"""Training steps of this repository against PyTorch's: one process, no servers, the same network, batch and threads.

Usage: bench/versus_torch.py [NETWORK...] [--threads T]

    bench/versus_torch.py                                          # all networks, one thread
    bench/versus_torch.py lstm gpt --threads 2 --rounds 7
    bench/versus_torch.py cnn --python build/torch/bin/python3     # of another PyTorch than Debian's

In each round both run, one after the other; shown are medians of the rounds, and the median of the rounds' ratios.
PyTorch gets what makes it fastest on a CPU: OpenBLAS's kernels for AVX-512, malloc that keeps what it has, and of images
the memory layout that is faster, which the first round finds.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
from torch_environment import torch_environment  # noqa: E402

# Name, batch, and the ratio that one and two threads are held to.
NETWORKS = [("lenet5", 64, 1.45, 1.45), ("cnn", 64, 1.3, 1.4), ("mlp", 128, 1.1, 0.95), ("lstm", 64, 1.25, 1.5),
            ("resnet18", 128, 1.6, 1.6), ("resnet18-imagenet", 8, 1.25, 1.25), ("gpt", 32, 1.2, 1.2)]
IMAGES = {"lenet5", "cnn", "resnet18", "resnet18-imagenet"}


def run(words, threads, tuned):
    environment = {**(torch_environment() if tuned else os.environ), "OMP_NUM_THREADS": str(threads)}
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        sys.exit(f"versus_torch: {' '.join(map(str, words))}: {result.stderr.strip().splitlines()[-1:]}")
    return result.stdout


def of_torch(options, name, batch, layout):
    words = [options.python, ROOT / "bench" / "torch_steps.py", name, "--batch", batch, "--threads", options.threads,
             "--seconds", options.seconds, "--layout", layout]
    return float(run(words, options.threads, tuned=True).split()[0])


def of_rubato(options, name, batch, steps):
    words = [options.build_dir / "bin" / "local_train", name, "--batch", batch, "--threads", options.threads,
             "--steps", steps, "--windows", 1, *["--plan"] * options.plan]
    return float(run(words, options.threads, tuned=False).split(": ")[1].split()[0])


def compare(options, name, batch, asked):
    layouts = ["contiguous", "channels_last"] if name in IMAGES else ["contiguous"]
    layout = max(layouts, key=lambda layout: of_torch(options, name, batch, layout))
    steps = 1
    steps = max(1, round(options.seconds * of_rubato(options, name, batch, steps) / batch))  # as long as PyTorch's
    rounds = [(of_rubato(options, name, batch, steps), of_torch(options, name, batch, layout)) for _ in range(options.rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds))
    ratios = sorted(a / b for a, b in rounds)
    print(f"{name:>18} {batch:>6} {ours:>10.1f} {theirs:>10.1f} {statistics.median(ratios):>7.2f} {asked:>6.2f}"
          f"   {ratios[0]:.2f} to {ratios[-1]:.2f}   {layout}", flush=True)


def main(options):
    known = {name for name, *_ in NETWORKS}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        sys.exit(f"versus_torch: no network {unknown[0]}: {', '.join(sorted(known))}")
    version = run([options.python, "-c", "import torch; print(torch.__version__)"], 1, tuned=False).strip()
    print(f"samples/s, {options.threads} thread{'s' * (options.threads > 1)}, PyTorch {version}; medians of {options.rounds} rounds")
    print(f"{'network':>18} {'batch':>6} {'Rubato':>10} {'PyTorch':>10} {'ratio':>7} {'asked':>6}   of the rounds   PyTorch's layout")
    for name, batch, one, two in NETWORKS:
        if not options.names or name in options.names:
            compare(options, name, batch, {1: one, 2: two}.get(options.threads))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks of bench/local_train; none: all of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--plan", action="store_true", help="Rubato's convolutions by measurement (docs/running.md, plans)")
    parser.add_argument("--python", default="/usr/bin/python3", help="whose PyTorch is compared with")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build")
    sys.exit(main(parser.parse_args()))
