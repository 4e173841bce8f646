#!/usr/bin/env python3
"""What a job takes of memory, all its processes together, beside what was estimated before it started.

Usage: bench/memory_of_job.py [--hidden 16384,15588] [--workers 1,2] [--set KEY=VALUE] [--build-dir build]

The job is fashion_mlp with Adam, without a bound, on one server; the default makes a model of 1 GiB. After some steps
every process is asked several times what it maps (/proc/PID/smaps), and each page that several processes have counts
once (its proportional size). Shown is the moment with the largest sum: by what was estimated together, and by process.
Memory that a server shares holds slots, what a worker shares its gradients; the rest is private, or a file's.
Exit code: 0 within the estimate, 1 not, 2 something failed.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from rubato_cli.failure import Failure  # noqa: E402
from rubato_cli.memory import on_host, parse_rows  # noqa: E402
from rubato_cli.scheduler_client import SchedulerClient, Unreachable  # noqa: E402
from rubato_cli.tables import table  # noqa: E402
from rubato_cli.text import plural, size  # noqa: E402

PATIENCE_S = 300.0
SAMPLES, PAUSE_S = 15, 0.2
HIDDEN = "16384,15588"
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ (?P<mode>\S+) \S+ \S+ \d+\s*(?P<name>.*)")
# Which rows of the estimate a measured figure stands for.
SLOTS, GRADIENTS = "slots", "gradients"
GROUPS = {
    SLOTS: ["weights", "optimizer state", "spare slots", "marks of workers", "older weights that are still read",
            "weights held for the evaluator"],
    GRADIENTS: ["gradients", "gradients under commit", "deltas"],
}
REST = "private, and programs"


def mlp_settings(hidden: str) -> list[str]:
    """A job that trains on and on, and takes hardly more than its model does."""
    return [f"model.hidden=[{hidden}]", "optimizer.name=adam", "optimizer.rate=0.0001", "consistency.mode=asp",
            "consistency.evict_after_s=600", "cluster.servers=1", "cluster.start_timeout_s=300", "cluster.lost_after_s=60",
            "train.batch=16", "train.steps=1000000", "evaluation.enabled=false"]


class JobMemory:
    """One job. `rows` is its estimate, `measured` the octets of each (node, group) when there were most: of some moments
    once it trains; of a job `to_its_end`, all the while."""

    def __init__(self, build_dir: Path, folder: Path, workers: int, settings: list[str], clock: int = 5,
                 environment: dict | None = None, job: Path = ROOT / "jobs/fashion_mlp.toml", to_its_end: bool = False):
        words = [word for setting in [f"cluster.workers={workers}", *settings] for word in ("--set", setting)]
        run_dir = folder / f"run-{workers}"
        command = [sys.executable, ROOT / "scripts/rubato", "train", job, "--no-progress",
                   "--build-dir", build_dir, "--run-dir", run_dir, *words]
        with open(folder / f"out-{workers}", "w+") as output:
            launcher = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=environment)
            try:
                self.measured = measure(launcher, run_dir, clock, to_its_end)
            except Failure as failure:
                output.seek(0)
                raise Failure(f"{failure}: {output.read().strip()}") from failure
            finally:
                end(launcher)
            output.seek(0)
            self.said = output.read()
        self.rows = on_host(parse_rows(subprocess.run([build_dir / "bin/rubato-sim", "--memory", run_dir / "job.toml"],
                                                      capture_output=True, text=True, check=True).stdout))

    @property
    def total(self) -> int:
        return sum(self.measured.values())

    @property
    def most(self) -> int:
        return sum(row.octets for row in self.rows)

    @property
    def least(self) -> int:
        """Without what may come later, or never."""
        return sum(row.octets for row in self.rows if not row.at_most)

    def estimated(self, group: str) -> list:
        named = {what for whats in GROUPS.values() for what in whats}
        return [row for row in self.rows if (row.what in GROUPS[group] if group in GROUPS else row.what not in named)]

    def of_group(self, group: str) -> int:
        return sum(octets for (_, found), octets in self.measured.items() if found == group)

    def of_node(self, node: str) -> int:
        return sum(octets for (found, _), octets in self.measured.items() if found == node)


def measure(launcher, run_dir: Path, clock: int, to_its_end: bool) -> Counter:
    """Of some moments, once every worker is past this clock, the one with the largest sum."""
    deadline = time.monotonic() + PATIENCE_S
    status = {}
    while not (status.get("state") == "training" and (status.get("clock_min") or 0) >= clock):
        if launcher.poll() is not None or time.monotonic() > deadline:
            raise Failure("the job did not train")
        time.sleep(PAUSE_S)
        with contextlib.suppress(Unreachable, Failure, OSError, ValueError):
            status = SchedulerClient.read(run_dir / "scheduler.json").status()
    members = [*status["workers"], *status["servers"], status["evaluator"]]
    pids = {member["node"]: member["pid"] for member in members}
    pids["scheduler"] = json.loads((run_dir / "scheduler.json").read_text())["pid"]
    moments = []
    while to_its_end and launcher.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # who has ended
            moments.append(proportional_octets(pids))
        time.sleep(PAUSE_S / 4)
    for _ in range(0 if to_its_end else SAMPLES):
        moments.append(proportional_octets(pids))
        time.sleep(PAUSE_S)
    return max(moments, key=lambda moment: sum(moment.values()))


def proportional_octets(pids: dict[str, int]) -> Counter:
    """By node and group. The shared memory of a job belongs to who may write it."""
    found = Counter()
    for node, pid in pids.items():
        group = REST
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if mapping := MAPPING.match(line):
                shared = mapping["name"].startswith("/memfd:rubato ")
                group = REST if not shared else (SLOTS if node.startswith("server") == ("w" in mapping["mode"])
                                                 else GRADIENTS)
            elif line.startswith("Pss:"):
                found[node, group] += int(line.split()[1]) * 1024
    return found


def end(launcher) -> None:
    for _ in range(2):  # the second one kills the job
        with contextlib.suppress(ProcessLookupError):
            launcher.terminate()
        time.sleep(0.3)
    try:
        launcher.wait(30)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.wait()


def mebi(octets: int) -> str:
    return f"{octets / (1 << 20):,.1f}"


def show(job: JobMemory, workers: int) -> None:
    model = next(row.octets for row in job.rows if row.what == "weights")
    rows = []
    for group in (SLOTS, GRADIENTS, REST):
        rows += [[f"{row.what}{', at most' if row.at_most else ''}", mebi(row.octets), ""]
                 for row in job.estimated(group)]
        rows.append([f"  {group}", mebi(sum(row.octets for row in job.estimated(group))), mebi(job.of_group(group))])
    rows.append(["in all", mebi(job.most), mebi(job.total)])
    print(f"\n{plural(workers, 'worker')}, a model of {size(model)}: {job.total / model:.2f} times the model")
    print("\n".join(table(["MiB", "estimated", "measured"], rows)))
    print(", ".join(f"{node} {mebi(job.of_node(node))}" for node in sorted({node for node, _ in job.measured})))


def main(words) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", default=HIDDEN, help="widths of the layers (default: %(default)s)")
    parser.add_argument("--workers", default="1,2", help="numbers of workers (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the job file")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build", help="where Rubato was built")
    options = parser.parse_args(words)
    within = True
    with tempfile.TemporaryDirectory(prefix="rubato-memory-") as folder:
        for workers in map(int, options.workers.split(",")):
            job = JobMemory(options.build_dir.resolve(), Path(folder), workers, mlp_settings(options.hidden) + options.set)
            show(job, workers)
            within &= job.total <= job.most
    return 0 if within else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"memory_of_job: {failure}", file=sys.stderr)
        sys.exit(2)
