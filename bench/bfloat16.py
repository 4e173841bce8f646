#!/usr/bin/env python3
"""Training steps with worker.precision = "bfloat16" against float32: one process, no servers.

Usage: bench/bfloat16.py [NETWORK] [--batch B] [--rounds R]

    bench/bfloat16.py                                  # resnet18 of 32 x 32 pixels, batch 128
    bench/bfloat16.py gpt --batch 32 --steps 3

First what a core multiplies in a second at most, in registers, in either, and in bfloat16 in tiles, where the processor
has AMX: that is bfloat16's limit then, for oneDNN uses them. Then the network, in each round once each way:
in float32 by direct sums alone, by rule (Winograd's algorithm where it pays) and by a plan that is measured, and in
bfloat16 by rule and by a plan. Shown are medians of the rounds, and of each round's ratios to direct sums.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAYS = [("float32, direct", ["--direct"]), ("float32, by rule", []), ("float32, by plan", ["--plan"]),
        ("bfloat16, by rule", ["--bfloat16"]), ("bfloat16, by plan", ["--bfloat16", "--plan"])]


def run(words):
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if result.returncode != 0:
        print(f"bfloat16: {result.stderr.strip()}", file=sys.stderr)
        sys.exit(result.returncode)
    return result.stdout


def samples_per_second(options, flags):
    words = [options.build_dir / "bin/local_train", options.network, "--batch", options.batch, "--threads",
             options.threads, "--steps", options.steps, "--windows", options.windows, *flags]
    return float(run(words).split(": ")[1].split()[0])


def main(options):
    print(run([options.build_dir / "bin/vector_products"]), end="")
    rounds = [[samples_per_second(options, flags) for _, flags in WAYS] for _ in range(options.rounds)]
    print(f"{options.network}, batch {options.batch}, {options.threads} thread{'s' * (options.threads > 1)}: medians of "
          f"{options.rounds} rounds")
    print(f"{'':<18} {'samples/s':>10} {'of direct':>10}   of the rounds")
    for way, (name, _) in enumerate(WAYS):
        ratios = sorted(speeds[way] / speeds[0] for speeds in rounds)
        print(f"{name:<18} {statistics.median(speeds[way] for speeds in rounds):>10.1f} "
              f"{statistics.median(ratios):>10.2f}   {ratios[0]:.2f} to {ratios[-1]:.2f}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", default="resnet18", help="one of bench/local_train")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="in each window")
    parser.add_argument("--windows", type=int, default=2, help="of a run, of which the best counts")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build")
    sys.exit(main(parser.parse_args()))
