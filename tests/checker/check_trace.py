#!/usr/bin/env python3
"""Proves from its trace that a run kept Rubato's promises, or names the lines that show that it did not.

Usage: check_trace.py RUN
       check_trace.py RUN.json TRACE...

RUN is the run directory of a job with debug.trace = true; what it promised is in its job.toml (run_setting.py).

Many simulated runs of one kind, as tests make them, have a description instead, RUN.json: {"mode": "ssp:3", "bound": 3,
"aggregate": false, "workers": 2, "slices": 9, "leaves": 4}, as it was when training began; bound -1 is none, and where it
moves ("bound_low") it is the highest; "backups" and "splits" are the numbers of the modes whose updates are committed;
"leased": true says that epochs were dealt out in leases, "compensated": true that delays are compensated for;
"local_steps" is the H of local:H, "batch" the samples of one such step; "rate" is that of the first rules, unless a
schedule moves it. "complete": false says that the job was cut off,
so that steps without a tick may be unsettled. A TRACE is a file of trace lines or a folder with a *.jsonl for every
member; lines with a "seed" are simulated runs, one after another, each checked for itself.

What is checked is recomputed from the lines alone (protocol/trace.h says what they mean); no code is shared
with the cores. The rules, by the names under which a violation is reported:

    line          every line is one event of the trace
    range         workers, slices and nodes are those of the job
    clock         clocks go up by one, a worker comes back no earlier than it ended (scheduler_rules.py)
    grant         grants are consecutive, at most one step ahead, and no step is taken without one
    rules         rule epochs begin one above the highest step granted; a grant, its pushes and what is settled of
                  them are under those of its clock, and begun at their rate
    staleness     clock minus least active clock at the grant is within the bound, and `min` is that clock
    floor         a floor served is the least settled clock; weights used have floor >= clock - bound
    served        weights used were served to that worker by the slice's shard (worker_rules.py), and with the floor
                  that was asked for
    sealed        a shard that answered for a life that ended takes nothing of it any more, and the answer is true;
                  the next life, and whoever is dealt its samples, waits for all answers (seal_rules.py)
    snapshot      a fixed snapshot never changes
    kept          where delays are compensated for, a worker is given a second version for a step only for a higher
                  floor, and no more than a shard can keep (kept_reads.py)
    exactly once  every push is settled once, at one shard; nothing is settled that was not pushed
    version       versions rise by one with each update (floors.py)
    age           version used + age + 1 is the version after the update
    tick          a step is ticked once all its pushes are settled
    commit        updates are made of the steps that were committed, the same for all slices (commit_rules.py)
    samples       each sample of an epoch is settled exactly once, where there are leases (sample_rules.py)
    local         a delta stands for the local steps that its samples make, at most H (worker_rules.py)
    leaves        each aggregate is applied once, in order, from each leaf of the batch exactly once

Exit code: 0 all hold, 1 a violation, 2 what describes the run, or a file, cannot be read.
"""

import gc
import json
import os
import sys
from collections import Counter
from typing import NamedTuple

from run_setting import described_by
from sample_rules import check_samples
from scheduler_rules import check_schedule
from seal_rules import check_dealt_again, check_seals
from shard_rules import check_shards
from trace_lines import Grant, Push, Repeat, Use, read_runs
from worker_rules import check_workers

VIOLATIONS_SHOWN = 20  # of one run


class Setting(NamedTuple):
    """What was promised: the run's description."""

    mode: str
    bound: int
    aggregate: bool
    workers: int
    slices: int
    leaves: int
    complete: bool = True
    bound_low: int | None = None  # of a bound that moves between this and `bound`
    backups: int | None = None  # backup: workers that nobody waits for
    splits: int | None = None  # softsync: updates while every worker pushes once
    leased: bool = False
    compensated: bool = False  # gradients are compared with the weights that they were computed on
    local_steps: int = 0  # local:H, of a clock; 0: pushes are gradients
    batch: int = 1  # samples of a local step
    rate: float | None = None  # of the first rules; None where a schedule moves it

    @property
    def committed(self):
        return self.backups is not None or self.splits is not None


def what_to_check(arguments):
    """The setting, and where the traces are."""
    if os.path.isdir(arguments[0]):
        run_dir = arguments[0]
        setting = Setting(**described_by(run_dir))
        trace = os.path.join(run_dir, "trace")
        if not os.path.isdir(trace):
            raise ValueError(f"{run_dir} has no trace: was the job run with debug.trace = true?")
        return setting, [trace]
    with open(arguments[0], encoding="utf-8") as file:
        return Setting(**json.load(file)), arguments[1:]


def trace_files(paths):
    files = []
    for path in paths:
        if os.path.isdir(path):
            names = [name for name in os.listdir(path) if name.endswith(".jsonl")]
            names.sort(key=lambda name: (len(name), name))  # NODE.2.jsonl is of the life after NODE.jsonl
            files += [os.path.join(path, name) for name in names]
        else:
            files.append(path)
    return files


def check_run(run, setting):
    """Adds to the run's violations; returns what was checked."""
    schedule = check_schedule(run, setting)
    shards = check_shards(run, setting, schedule)
    check_workers(run, setting, schedule, shards)
    check_samples(run, setting, schedule, shards)
    check_seals(run, setting, schedule, shards)
    check_dealt_again(run, setting, schedule, shards)
    counts = Counter(type(event) for log in run.logs.values() for event in log)
    return counts, schedule.staleness_max, shards.age_max


def report(run):
    for note in run.notes:
        print(f"note: {run.name}: {note}")
    for rule, text, lines in run.violations[:VIOLATIONS_SHOWN]:
        print(f"violation of `{rule}` in {run.name}: {text}")
        for line in lines:
            print(f"    {line}")
    if len(run.violations) > VIOLATIONS_SHOWN:
        print(f"... and {len(run.violations) - VIOLATIONS_SHOWN} more violations in {run.name}")


def main(arguments):
    if not arguments or os.path.isdir(arguments[0]) != (len(arguments) == 1):
        print(__doc__, file=sys.stderr)
        return 2
    gc.disable()  # millions of tuples and no cycles
    runs = failed = staleness_max = age_max = 0
    total = Counter()
    try:
        setting, traces = what_to_check(arguments)
        for run in read_runs(trace_files(traces), traces[0]):
            counts, staleness, age = check_run(run, setting)
            report(run)
            runs += 1
            failed += bool(run.violations)
            total += counts
            staleness_max, age_max = max(staleness_max, staleness), max(age_max, age)
    except (OSError, ValueError, TypeError) as error:
        print(f"check_trace: {error}", file=sys.stderr)
        return 2
    checked = f"checked {runs} runs, {total[Grant]} grants, {total[Use]} uses, {total[Push]} pushes"
    if failed or not runs:
        print(f"{checked}: {failed} runs with violations" if runs else "check_trace: no run in these files")
        return 1
    print(f"{checked}: all hold")
    print(f"largest staleness {staleness_max}, largest age {age_max}, {total[Repeat]} repeats")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
