#!/usr/bin/env python3
"""What servers, sockets and clocks cost: a worker under the real processes against one process without servers.

Usage: bench/overhead.py [--job fashion_cnn] [--cores 0] [--mode MODE] [--lane shm|ipc|tcp] [--rounds 5]

Each round trains the same network three times on the same cores, one after another:
  lean_loop    bare oneDNN primitives, no layer of Rubato (cnn only)
  local_train  the model of this repository in one process
  processes    scheduler, server, worker and an idle evaluator, over real data, as the launcher starts them
A ratio is taken within a round, where the machine is as busy for one as for the other; shown are the medians.
By the CPU means samples per CPU second of all processes together: on one core the same as by the wall while
the machine is otherwise idle. Where it is not, the wall flatters whoever has more processes to be scheduled, and
the limits are held against the CPU.
With several workers it is held against as many independent trainers running at once.
What is asked is asked of one worker with one thread over shared memory, on one core or two: of fashion_cnn at batch 64
and of fashion_mlp at batch 128 (ASKED_OF_PROCESSES); of others there are figures only. bench/end_to_end.py is this over lanes, modes and numbers of workers.
Exit code: 0 within the limits, 1 not, 2 something failed.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
from rubato_cli.scheduler_client import SchedulerClient, Unreachable  # noqa: E402
from rubato_cli.tables import table  # noqa: E402

# Ratios: of whom, by whom.
RATIOS = [("processes", "local_train"), ("local_train", "lean_loop")]
# The least that is asked of the processes, by job and batch: on one core, and on two.
ASKED_OF_PROCESSES = {("fashion_cnn", 64): {1: 0.92, 2: 0.95}, ("fashion_mlp", 128): {1: 0.80, 2: 0.85}}
ASKED_OF_LOCAL_TRAIN = {("fashion_cnn", 64): 0.90}
BUSY_SHARE = 0.9  # of a core: with less of it than that, local_train was not alone there
WARM_UP_S = 1.0
START_TIMEOUT_S = 30.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    pass


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", default="fashion_cnn", help="a name in jobs/, or a file (default: %(default)s)")
    parser.add_argument("--cores", default="0", help="as taskset takes them (default: %(default)s)")
    parser.add_argument("--mode", help="as consistency.mode (default: the job's)")
    parser.add_argument("--lane", choices=["shm", "ipc", "tcp"], help="of pushes and pulls (default: the job's)")
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=64, help="of a worker's step (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="compute threads (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the job file")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build", help="where Rubato was built")
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")
    return parser.parse_args(words)


def settings_of(options):
    """The --set of the measured job: one server, no end and no evaluation in sight."""
    # Where the workers share a batch, each has as many samples of it as in other modes.
    batch = options.batch * (options.workers if options.mode == "bsp" else 1)
    chosen = {"consistency.mode": options.mode, "cluster.servers": 1, "cluster.workers": options.workers,
              "train.batch": batch, "train.micro_batches": options.workers, "train.epochs": 100000,
              "evaluation.every_epochs": 100000, "worker.threads": options.threads}
    if options.lane is not None:
        chosen |= {"cluster.transport": "ipc" if options.lane == "shm" else options.lane,
                   "cluster.shared_memory": str(options.lane == "shm").lower()}
    settings = [f"{key}={value}" for key, value in chosen.items() if value is not None] + options.set
    return [word for setting in settings for word in ("--set", setting)]


def job_file(options):
    return Path(options.job) if options.job.endswith(".toml") else ROOT / "jobs" / f"{options.job}.toml"


def pinned(options, *words):
    return ["taskset", "-c", options.cores, *map(str, words)]


def figures(samples, wall_s, cpu_s):
    return {"samples_per_s": samples / wall_s, "samples_per_cpu_s": samples / cpu_s}


# ---- programs that measure themselves


def run_program(options, program, *words):
    """lean_loop and local_train: a window of so many steps, long enough, of as many at once as there are workers."""
    words = [*words, "--batch", options.batch, "--threads", options.threads, "--windows", 1]

    def windows(steps):
        command = pinned(options, options.build_dir / "bin" / program, *words, "--steps", steps)
        environment = dict(os.environ, OMP_WAIT_POLICY="passive")
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                    env=environment) for _ in range(options.workers)]
        found = [window_of(command, *process.communicate()) for process in started]
        samples_per_s = sum(window["samples_per_s"] for window in found)
        cores = sum(window["samples_per_s"] / window["samples_per_cpu_s"] for window in found)
        return {"samples_per_s": samples_per_s, "samples_per_cpu_s": samples_per_s / cores}

    per_second = windows(20)["samples_per_s"] / options.batch / options.workers
    return windows(max(20, round(per_second * options.seconds)))


def window_of(command, output, errors):
    found = re.search(r"([\d.]+) samples/s, ([\d.]+) per CPU second", output)
    if not found:
        raise Failure(f"{' '.join(command)}: {errors.strip() or output.strip()}")
    return {"samples_per_s": float(found[1]), "samples_per_cpu_s": float(found[2])}


# ---- the job


def run_processes(options):
    with tempfile.TemporaryDirectory(prefix="rubato-overhead-") as folder:
        command = pinned(options, ROOT / "scripts" / "rubato", "train", job_file(options), "--no-progress",
                         "--build-dir", options.build_dir, "--run-dir", f"{folder}/run", *settings_of(options))
        launcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            return measure_job(options, launcher, Path(folder) / "run" / "scheduler.json")
        finally:
            for _ in range(2):  # the second one kills the job
                launcher.terminate()
                time.sleep(0.3)
            launcher.communicate()


def measure_job(options, launcher, address):
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        if launcher.poll() is not None:
            raise Failure(f"the job ended: {launcher.stdout.read().strip()}")
        if time.monotonic() > deadline:
            raise Failure(f"the job does not train after {START_TIMEOUT_S:.0f} s")
        try:
            if address.exists() and SchedulerClient.read(address).status()["samples_done"] > 0:
                break
        except Unreachable:
            pass  # it is only starting
        time.sleep(0.1)
    client = SchedulerClient.read(address)
    time.sleep(WARM_UP_S)
    before = look(client, launcher.pid)
    time.sleep(options.seconds)
    after = look(client, launcher.pid)
    cpu_s = {node: after["cpu_s"][node] - before["cpu_s"][node] for node in after["cpu_s"]}
    samples = after["samples"] - before["samples"]
    result = figures(samples, after["at"] - before["at"], sum(cpu_s.values()))
    return result | {"cpu_us_per_sample": {node: 1e6 * value / samples for node, value in cpu_s.items()}}


def look(client, launcher_pid):
    """The job at one moment: samples settled, CPU seconds of each process."""
    status = client.status()
    members = [*status["workers"], *status["servers"], status["evaluator"]]
    pids = {"launcher": launcher_pid, "scheduler": client.pid} | {member["node"]: member["pid"] for member in members}
    return {"at": time.monotonic(), "samples": status["samples_done"],
            "cpu_s": {node: cpu_seconds(pid) for node, pid in pids.items()}}


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


# ---- all of it


def resolved_model(options):
    with tempfile.TemporaryDirectory(prefix="rubato-overhead-") as folder:
        command = [options.build_dir / "bin" / "rubato-scheduler", "--resolve", job_file(options), "--run-dir", folder]
        result = subprocess.run([*command, *settings_of(options)], capture_output=True, text=True)
        if result.returncode != 0:
            raise Failure(result.stderr.strip())
        return tomllib.loads((Path(folder) / "job.toml").read_text())["model"]["name"]


def measure(options):
    """For each round, the figures by name."""
    model = resolved_model(options)
    rounds = []
    for number in range(options.rounds):
        found = {"lean_loop": run_program(options, "lean_loop")} if model == "cnn" else {}
        found["local_train"] = run_program(options, "local_train", model)
        found["processes"] = run_processes(options)
        rounds.append(found)
        rates = ", ".join(f"{name} {of['samples_per_s']:,.0f}" for name, of in found.items())
        print(f"round {number + 1}: samples/s: {rates}", file=sys.stderr, flush=True)
    return rounds


def median(rounds, name, key):
    return statistics.median(found[name][key] for found in rounds)


def median_ratio(rounds, name, by, key):
    return statistics.median(found[name][key] / found[by][key] for found in rounds)


def share_of_cores(options, rounds):
    """What the local trainers had of the cores they could use: less than all of it where others were busy there."""
    shares = [found["local_train"]["samples_per_s"] / found["local_train"]["samples_per_cpu_s"] for found in rounds]
    return statistics.median(shares) / (options.threads * options.workers)


def print_figures(options, rounds):
    """Prints the figures of each program."""
    print(f"{options.job}, batch {options.batch}, cores {options.cores}, medians of {options.rounds} rounds")
    rows = [[name, f"{median(rounds, name, 'samples_per_s'):.0f}",
             f"{1e6 / median(rounds, name, 'samples_per_cpu_s'):.1f}"] for name in rounds[0]]
    print("\n".join(table(["", "samples/s", "CPU us/sample"], rows)))
    parts = {node: statistics.median(found["processes"]["cpu_us_per_sample"][node] for found in rounds)
             for node in rounds[0]["processes"]["cpu_us_per_sample"]}
    print("  of processes: " + ", ".join(f"{node} {value:.1f}" for node, value in parts.items()) + "\n")


def count_of_cores(text):
    """Of a list as taskset takes it: 0,2-4 are four, and 0-6:2 are four as well."""
    cores = set()
    for part in text.split(","):
        ends, _, stride = part.partition(":")
        first, _, last = ends.partition("-")
        cores |= set(range(int(first), int(last or first) + 1, int(stride or 1)))
    return len(cores)


def asked_of(options, name):
    """The least ratio of `processes` or `local_train` that these options are held to; None where nothing is asked."""
    if options.workers != 1 or options.threads != 1 or options.lane in ("ipc", "tcp") or options.set:
        return None
    case = (options.job, options.batch)
    if name == "local_train":
        return ASKED_OF_LOCAL_TRAIN.get(case)
    return ASKED_OF_PROCESSES.get(case, {}).get(count_of_cores(options.cores))


def report_ratios(options, rounds):
    """Prints the ratios, and returns them, each with whether it is within its limit."""
    share = share_of_cores(options, rounds)
    decides = "wall" if share >= BUSY_SHARE else "cpu"
    if decides == "cpu":
        print(f"This machine is busy: local_train had {100 * share:.0f}% of its core. Only the CPU column counts.")
    ratios = []
    for name, by in RATIOS:
        if by not in rounds[0]:
            continue
        limit = asked_of(options, name)
        found = {"ratio": f"{name} / {by}", "limit": limit,
                 "wall": median_ratio(rounds, name, by, "samples_per_s"),
                 "cpu": median_ratio(rounds, name, by, "samples_per_cpu_s")}
        ratios.append(found | {"within": limit is None or found[decides] >= limit})
    rows = [[ratio["ratio"], f"{ratio['wall']:.3f}", f"{ratio['cpu']:.3f}",
             "-" if ratio["limit"] is None else f"{ratio['limit']:.2f}", "" if ratio["within"] else "TOO LOW"]
            for ratio in ratios]
    print("\n".join(table(["ratio", "by the wall", "by the CPU", "at least", ""], rows)))
    return ratios


def main(words):
    options = parse(words)
    try:
        rounds = measure(options)
    except Failure as failure:
        print(f"overhead: {failure}", file=sys.stderr)
        return 2
    print_figures(options, rounds)
    ratios = report_ratios(options, rounds)
    if options.json:
        Path(options.json).write_text(json.dumps({"options": vars(options) | {"build_dir": str(options.build_dir)},
                                                  "rounds": rounds, "ratios": ratios}, indent=2) + "\n")
    return 0 if all(ratio["within"] for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
