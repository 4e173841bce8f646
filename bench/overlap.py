#!/usr/bin/env python3
"""How much of pushing and pulling is behind compute: one worker with servers, beside its steps without any.

Usage: bench/overlap.py [NETWORK...] [--device cpu|cuda] [--servers N] [--rounds R]

Of each round, one after the other: forward and backward alone (bench/gpu_steps); a job of real processes in bsp, one
worker over shared memory, the same network, batch and precision; and pushes and pulls of as many bytes, with an update
and nothing computed (bench/push_pull). Of the medians,

    overlap = 1 - (step with servers - step without) / (push and pull alone)

which is 1 where all of it is hidden, and 0 where nothing is; 0.9 is asked for. What else a job's step costs (taking
samples, grants, weights copied to a GPU) counts against it. With cuda it has never run.
Exit codes: 0 it was measured, 1 a program failed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASKED = 0.9
EPOCHS, SLICE_BYTES = 6, 1 << 18
# As bench/local_case.cc has them: keys of the job, the shape of a sample, parameters, batch.
NETWORKS = {"mlp": (["model.name=mlp", "model.hidden=[1024,1024]"], (28, 28), 1_863_690, 128),
            "resnet18": (["model.name=resnet18", "model.width=64", "model.stem=cifar"], (32, 32, 3), 11_173_962, 128)}
JOB = """[model]
name = "mlp"
[data]
kind = "npy"
train_inputs = "inputs.npy"
train_labels = "labels.npy"
test_inputs = "test_inputs.npy"
test_labels = "test_labels.npy"
"""


class Failed(Exception):
    """With what a program said."""


def run(words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failed(f"{Path(words[0]).name}: exit code {done.returncode}: {said[-1] if said else 'it said nothing'}")
    return done.stdout


def write_npy(file, shape, numbers):
    """Bytes as an array of NumPy's format 1.0; its header is padded to 64 bytes."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    file.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + numbers)


def write_data(folder, shape, samples, batch):
    """Random images of ten classes."""
    for prefix, count in (("", samples), ("test_", batch)):
        size = count
        for extent in shape:
            size *= extent
        write_npy(folder / f"{prefix}inputs.npy", (count, *shape), os.urandom(size))
        write_npy(folder / f"{prefix}labels.npy", (count,), bytes(i % 10 for i in range(count)))
    (folder / "job.toml").write_text(JOB)


def step_without(options, name, batch):
    words = [options.bin / "gpu_steps", name, "--batch", batch, "--precision", options.precision, "--device", options.device,
             "--seconds", options.seconds, "--windows", 3]
    return batch / statistics.median(float(word) for word in run(words).split())


def step_with(options, name, batch, folder, run_dir):
    """The median of epochs but the first, which warms up."""
    settings = [*NETWORKS[name][0], f"worker.device={options.device}", f"worker.precision={options.precision}", "worker.threads=1",
                "consistency.mode=bsp", f"train.batch={batch}", "train.micro_batches=1", f"train.epochs={EPOCHS}",
                f"evaluation.every_epochs={EPOCHS}", "optimizer.name=sgd", "optimizer.rate=0.001",
                f"cluster.slice_bytes={SLICE_BYTES}", "cluster.workers=1", f"cluster.servers={options.servers}"]
    words = [sys.executable, ROOT / "scripts" / "rubato", "train", folder / "job.toml", "--build-dir", options.bin.parent,
             "--run-dir", run_dir, "--no-progress"]
    run(words + [word for setting in settings for word in ("--set", setting)])
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    rates = [line["samples_per_s"] for line in lines if line["event"] == "epoch"]
    return batch / statistics.median(rates[1:])


def push_and_pull(options, name, folder):
    """All of the model's bytes, once."""
    size, figures = 4 * NETWORKS[name][2], folder / "push_pull.json"
    run([options.bin / "push_pull", "--lane", "shm", "--rule", "sgd", "--mode", "bsp", "--model", -(-size // (1 << 20)), "--slice",
         SLICE_BYTES, "--shards", options.servers, "--rounds", 8, "--warm", "--json", figures])
    rate = next(row["value"] for row in json.loads(figures.read_text()) if row["name"].endswith("/pushed of memcpy"))
    return size / (rate * 1e9)


def overlap_of(with_servers, without, alone):
    return 1 - (with_servers - without) / alone


def measure(options, name):
    batch = options.batch or NETWORKS[name][3]
    with tempfile.TemporaryDirectory(prefix="rubato-overlap-") as text:
        folder = Path(text)
        write_data(folder, NETWORKS[name][1], batch * options.steps, batch)
        rounds = [(step_with(options, name, batch, folder, folder / f"run{index}"), step_without(options, name, batch),
                   push_and_pull(options, name, folder)) for index in range(options.rounds)]
    medians = [statistics.median(column) for column in zip(*rounds)]
    step, without, alone = (f"{1000 * seconds:.2f} ms" for seconds in medians)
    print(f"{name}, batch {batch}, {options.precision}, {options.device}, {options.servers} servers: a step {step}, without servers {without}, "
          f"push and pull alone {alone}: overlap {overlap_of(*medians):.2f}, {ASKED} is asked", flush=True)


def main(options):
    try:
        for name in options.networks or ["mlp" if options.device == "cpu" else "resnet18"]:
            measure(options, name)
    except (Failed, OSError) as failed:
        print(f"overlap: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], metavar="NETWORK",
                        help="mlp, the default on a CPU, or resnet18, elsewhere")
    parser.add_argument("--device", default="cpu", help="as worker.device (default: %(default)s)")
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="float32")
    parser.add_argument("--batch", type=int, help="default: 128")
    parser.add_argument("--servers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=40, help="of an epoch, of which there are 6 (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a window without servers (default: %(default)s)")
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "bin", help="where the programs are")
    sys.exit(main(parser.parse_args()))
