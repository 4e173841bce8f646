#!/usr/bin/env python3
"""What real jobs train a second, over each lane and in each mode, beside what bounds them: trainers without servers.

Usage: bench/end_to_end.py [--jobs fashion_cnn,fashion_mlp] [--lanes shm,ipc,tcp] [--modes bsp,ssp:3,asp]
                           [--workers 1,2] [--cores 0,1] [--rounds 5] [--json FILE]

A figure is what the real processes settle: launcher, scheduler, a server, the workers, an idle evaluator, over real
data (bench/overhead.py). Its limit is what as many independent trainers do at once on the same cores
(bench/local_train), measured in the same round, before the modes of each lane. Shown are medians of the rounds, and
medians of their ratios: samples a second by the wall, and for each CPU second of all processes together.
Exit code: 0; 1 where a job of which something is asked (ASKED) was below it; 2 something failed. It is asked by the
wall, and by the CPU where others were busy on these cores.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import overhead
from overhead import Failure

sys.path.insert(0, str(overhead.ROOT / "scripts"))
from rubato_cli.tables import table  # noqa: E402

BATCHES = {"fashion_cnn": 64, "fashion_mlp": 128}
# At least so much of its limit, of one host's fastest lane.
ASKED = {("fashion_cnn", "shm", "asp", 2): 0.90}
MEASURES = {"samples_per_s": ("wall", "samples/s"), "samples_per_cpu_s": ("cpu", "samples/CPU s")}


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def several(text):
        return text.split(",")

    parser.add_argument("--jobs", type=several, default="fashion_cnn,fashion_mlp", help="names in jobs/")
    parser.add_argument("--lanes", type=several, default="shm,ipc,tcp", help="default: %(default)s")
    parser.add_argument("--modes", type=several, default="bsp,ssp:3,asp", help="default: %(default)s")
    parser.add_argument("--workers", type=several, default="1,2", help="of --threads each (default: %(default)s)")
    parser.add_argument("--cores", default="0,1", help="as taskset takes them (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="compute threads of a worker (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--build-dir", type=Path, default=overhead.ROOT / "build", help="where Rubato was built")
    parser.add_argument("--json", metavar="FILE", help="also write rows of name, value, unit, limit, ratio there")
    return parser.parse_args(words)


def settings(options, job, lane, mode, workers):
    """As bench/overhead.py takes them."""
    chosen = vars(options) | {"job": job, "lane": lane, "mode": mode, "workers": workers, "set": [],
                              "batch": BATCHES.get(job, 64)}
    return argparse.Namespace(**chosen)


def measure(options):
    """For each case (job, lane, mode, workers), the figures of its rounds, as overhead.measure() has them."""
    cases = defaultdict(list)
    models = {job: overhead.resolved_model(settings(options, job, "shm", None, 1)) for job in options.jobs}
    for number in range(options.rounds):
        for job in options.jobs:
            for workers in map(int, options.workers):
                for lane in options.lanes:
                    measure_lane(options, cases, models[job], job, lane, workers)
        print(f"round {number + 1} of {options.rounds} is done", file=sys.stderr, flush=True)
    return cases


def measure_lane(options, cases, model, job, lane, workers):
    local = overhead.run_program(settings(options, job, lane, None, workers), "local_train", model)
    for mode in options.modes:
        found = {"local_train": local, "processes": overhead.run_processes(settings(options, job, lane, mode, workers))}
        cases[job, lane, mode, workers].append(found)


def rows_of(options, cases):
    """As bench/rows.h writes them, with what is asked of the ratio and whether it is kept."""
    rows = []
    for (job, lane, mode, workers), rounds in cases.items():
        busy = overhead.share_of_cores(settings(options, job, lane, mode, workers), rounds) < overhead.BUSY_SHARE
        for key, (by, unit) in MEASURES.items():
            ratio = overhead.median_ratio(rounds, "processes", "local_train", key)
            asked = ASKED.get((job, lane, mode, workers)) if (by == "cpu") == busy else None
            rows.append({"name": f"{job}/{lane}/{mode}/{workers}w/{by}",
                         "value": overhead.median(rounds, "processes", key), "unit": unit,
                         "limit": overhead.median(rounds, "local_train", key), "ratio": ratio,
                         "asked": asked, "kept": asked is None or ratio >= asked})
    return rows


def show(options, rows, cases):
    head = ["", "processes", "", "trainers", "ratio", "at least", ""]
    lines = [[row["name"].rpartition("/")[0].replace("/", " "), f"{row['value']:.0f}", row["unit"],
              f"{row['limit']:.0f}", f"{row['ratio']:.3f}", "-" if row["asked"] is None else f"{row['asked']:.2f}",
              "" if row["kept"] else "TOO LOW"] for row in rows]
    print(f"cores {options.cores}, medians of {options.rounds} rounds of {options.seconds:g} s")
    print("\n".join(table(head, lines)))
    print("A ratio is the median of the rounds' ratios, which need not be that of the two medians beside it.")
    share = statistics.median(overhead.share_of_cores(settings(options, *case), rounds)
                              for case, rounds in cases.items())
    if share < overhead.BUSY_SHARE:
        print(f"This machine is busy: local trainers had {100 * share:.0f}% of their cores. Only CPU seconds count.")


def main(words):
    options = parse(words)
    try:
        cases = measure(options)
    except Failure as failure:
        print(f"end_to_end: {failure}", file=sys.stderr)
        return 2
    rows = rows_of(options, cases)
    show(options, rows, cases)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if all(row["kept"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
