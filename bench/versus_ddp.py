#!/usr/bin/env python3
"""Synchronous training on several processes: workers and servers of this repository, and PyTorch's own way.

Usage: bench/versus_ddp.py [JOB...] [--workers 2]

    bench/versus_ddp.py                                     # fashion_cnn, fashion_mlp, fashion_resnet18
    bench/versus_ddp.py fashion_cnn --rounds 7
    bench/versus_ddp.py fashion_mlp --python build/torch/bin/python3     # of another PyTorch than Debian's

In each round the job trains in `bsp` through the real processes (launcher, scheduler, a server, workers of one thread
each, an idle evaluator) on its real data; then as many processes of one thread train the same network with
DistributedDataParallel over gloo, on one batch in memory. A worker's part of a batch is the same in both. Shown are
medians of the rounds, and of their ratios. Exit code: 0 where what is asked is kept, 1 where it is not, 2 something failed.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import overhead

sys.path.insert(0, str(overhead.ROOT / "scripts"))
from rubato_cli.tables import table  # noqa: E402

sys.path.insert(0, str(overhead.ROOT / "tests" / "parity"))
from torch_environment import torch_environment  # noqa: E402

# By job: what bench/torch_steps.py calls its network, each worker's part of a batch, seconds of a measurement.
JOBS = {"fashion_cnn": ("cnn", 64, 3.0), "fashion_mlp": ("mlp", 128, 3.0), "fashion_resnet18": ("resnet18-fashion", 64, 20.0)}
ASKED = 1.5
# The optimizer of bench/torch_steps.py.
SETTINGS = ["optimizer.name=momentum", "optimizer.rate=0.01", "optimizer.momentum=0.9"]


def of_rubato(options, job, batch, seconds):
    chosen = vars(options) | {"job": job, "batch": batch, "seconds": seconds, "mode": "bsp", "lane": None, "threads": 1,
                              "set": SETTINGS}
    return overhead.run_processes(argparse.Namespace(**chosen))["samples_per_s"]


def of_torch(options, network, batch, seconds, layout):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**torch_environment(), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                   "WORLD_SIZE": str(options.workers)}
    words = ["taskset", "-c", options.cores, options.python, overhead.ROOT / "bench" / "torch_steps.py", network,
             "--batch", batch, "--seconds", seconds, "--layout", layout]
    ranks = [subprocess.Popen([str(word) for word in words], env={**environment, "RANK": str(rank)}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) for rank in range(options.workers)]
    found = [process.communicate() for process in ranks]
    rates = [float(output.split()[0]) for output, _ in found if output]
    if len(rates) < options.workers:
        raise overhead.Failure("PyTorch: " + " ".join(errors.strip()[-200:] for _, errors in found))
    return sum(rates)


def compare(options, job):
    network, batch, seconds = JOBS[job]
    layouts = ["contiguous"] if network == "mlp" else ["contiguous", "channels_last"]
    layout = max(layouts, key=lambda layout: of_torch(options, network, batch, seconds, layout))
    rounds = []
    for _ in range(options.rounds):
        rounds.append((of_rubato(options, job, batch, seconds), of_torch(options, network, batch, seconds, layout)))
        print(f"{job}: {rounds[-1][0]:,.0f} and {rounds[-1][1]:,.0f} samples/s", file=sys.stderr, flush=True)
    ours, theirs = (statistics.median(column) for column in zip(*rounds))
    ratios = sorted(a / b for a, b in rounds)
    ratio = statistics.median(ratios)
    row = [job, str(batch), f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}", f"{ASKED:.2f}",
           f"{ratios[0]:.2f} to {ratios[-1]:.2f}", layout]
    return row, ratio


def main(options):
    unknown = [job for job in options.jobs if job not in JOBS]
    if unknown:
        sys.exit(f"versus_ddp: no job {unknown[0]}: {', '.join(JOBS)}")
    try:
        found = [compare(options, job) for job in options.jobs or JOBS]
    except overhead.Failure as failure:
        print(f"versus_ddp: {failure}", file=sys.stderr)
        return 2
    version = subprocess.run([options.python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    print(f"samples/s of {options.workers} workers of one thread, PyTorch {version.stdout.strip()}, medians of {options.rounds} rounds")
    print("\n".join(table(["job", "batch of each", "Rubato", "PyTorch", "ratio", "asked", "of the rounds", "PyTorch's layout"],
                          [row for row, _ in found])))
    return 0 if all(ratio >= ASKED for _, ratio in found) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", help="jobs of which something is asked; none: all three")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", default="0,1", help="as taskset takes them (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default="/usr/bin/python3", help="whose PyTorch is compared with")
    parser.add_argument("--build-dir", type=Path, default=overhead.ROOT / "build")
    sys.exit(main(parser.parse_args()))
