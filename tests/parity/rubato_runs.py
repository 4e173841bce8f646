"""Runs of Rubato's own programs, through the launcher as a user would start them."""

import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[2]

# Of a job file: what each update is made of goes over two servers and two workers. More of [cluster] may follow.
SHARED_BSP = """[consistency]
mode = "bsp"
[cluster]
servers = 2
workers = 2"""


class RunFailed(Exception):
    pass


def run(job, build_dir, run_dir, settings):
    """Trains a job into `run_dir`; `settings` are the KEY=VALUE of --set. Returns the last line of its metrics."""
    words = [ROOT / "scripts" / "rubato", "train", job, "--build-dir", build_dir, "--run-dir", run_dir, "--no-progress"]
    for setting in settings:
        words += ["--set", setting]
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode != 0:
        raise RunFailed(f"{' '.join(map(str, words))}: exit code {result.returncode}: {result.stderr.strip()}")
    final = json.loads((Path(run_dir) / "metrics.jsonl").read_text().splitlines()[-1])
    if final["event"] != "final":
        raise RunFailed(f"{run_dir}/metrics.jsonl does not end with a final line")
    return final


def resolve(job, build_dir, run_dir, settings):
    """The job with all its keys, as RUN/job.toml."""
    words = [Path(build_dir) / "bin" / "rubato-scheduler", "--resolve", job, "--run-dir", run_dir]
    for setting in settings:
        words += ["--set", setting]
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode != 0:
        raise RunFailed(result.stderr.strip())
    return Path(run_dir) / "job.toml"


def trained(job, build_dir, settings):
    """Trains a job into a folder that goes again; returns the job with all its keys, its weights and its last line."""
    with temporary_folder() as folder:
        final = run(job, build_dir, f"{folder}/run", settings)
        resolved = tomllib.loads((Path(folder) / "run" / "job.toml").read_text())
        return resolved, read_weights(f"{folder}/run"), final


def read_weights(run_dir):
    """RUN/final.safetensors: arrays by name, in Rubato's layout."""
    return read_floats(Path(run_dir) / "final.safetensors")


def read_floats(file):
    """A file of safetensors, all in float32: arrays by name."""
    data = Path(file).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    weights = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            weights[name] = numpy.frombuffer(data[start + first : start + end], "<f4").reshape(entry["shape"])
    return weights


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="rubato-parity-")
