#!/usr/bin/env python3
"""Forward and backward on a GPU against PyTorch's there: the same network, batch and precision, data on the device.

Usage: bench/gpu_steps.py [NETWORK...] [--rounds R]

    bench/gpu_steps.py                                                # what something is asked of: bfloat16
    bench/gpu_steps.py resnet18 --batch 128 --precision tf32
    bench/gpu_steps.py cnn --device cpu --modes eager --rounds 2      # how it works, without a GPU

PyTorch runs eagerly, compiled, and as a CUDA graph, images in both memory layouts; the fastest of them is what counts. A
mode that fails there (compiling needs a C compiler, for one) is named with the last line that it said. In each round
ours and the fastest of PyTorch's run, one after the other; shown are medians of the rounds and of their ratios.
Exit codes: 0 all was measured, 1 ours failed, or PyTorch did in all modes.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASKED = 0.95
NETWORKS = {"resnet18-imagenet": 128, "gpt2-small": 8}  # with their batches
MODES = ["eager", "compiled", "graphed"]
PATIENCE_S = 150  # of a run; compiling takes the most


class Failed(Exception):
    """With the last line that a program said."""


def rate(words):
    """The median of the windows that a program prints, samples/s."""
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done within {PATIENCE_S} s") from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return statistics.median(float(word) for word in done.stdout.split())


def common(options, name, batch):
    return [name, "--batch", batch, "--precision", options.precision, "--seconds", options.seconds, "--device", options.device]


def ours(options, name, batch):
    return rate([options.bin / "gpu_steps", *common(options, name, batch), "--windows", 3])


def torch_words(options, name, batch, mode, layout):
    return [sys.executable, Path(__file__).with_name("torch_steps.py"), *common(options, name, batch), "--windows", 3, "--mode",
            mode, "--layout", layout, "--without-update"]


def fastest_of_torch(options, name, batch):
    """The words of PyTorch's fastest way; prints all of them."""
    layouts = ["contiguous", "channels_last"] if name in ("lenet5", "cnn") or name.startswith("resnet") else ["contiguous"]
    found = {}
    for mode in options.modes:
        for layout in layouts:
            words = torch_words(options, name, batch, mode, layout)
            try:
                found[mode, layout] = rate(words), words
                print(f"  PyTorch, {mode}, {layout}: {found[mode, layout][0]:.1f} samples/s", flush=True)
            except Failed as failed:
                print(f"  PyTorch, {mode}, {layout}: did not run: {failed}", flush=True)
    if not found:
        raise Failed("PyTorch did not run in any mode")
    return max(found.items(), key=lambda item: item[1][0])


def compare(options, name, batch):
    print(f"{name}, batch {batch}, {options.precision}:", flush=True)
    (mode, layout), (_, words) = fastest_of_torch(options, name, batch)
    rounds = [(ours(options, name, batch), rate(words)) for _ in range(options.rounds)]
    mine, theirs = (statistics.median(column) for column in zip(*rounds))
    ratio = statistics.median(a / b for a, b in rounds)
    print(f"  Rubato {mine:.1f}, PyTorch {theirs:.1f} ({mode}, {layout}): {ratio:.2f}, {ASKED} is asked", flush=True)


def main(options):
    failures = 0
    for name in options.names or NETWORKS:
        try:
            compare(options, name, options.batch or NETWORKS.get(name, 64))
        except Failed as failed:
            failures += 1
            print(f"  {name}: {failed}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks of bench/local_train")
    parser.add_argument("--batch", type=int, help="default: what is asked about, or 64")
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="PyTorch's")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "bin", help="where gpu_steps is")
    sys.exit(main(parser.parse_args()))
