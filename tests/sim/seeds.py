#!/usr/bin/env python3
"""Usage: seeds.py SIM_SEEDS CHECK_TRACE COUNT [FIRST]

Runs many seeds of simulated jobs (sim_seeds.cc), as many at a time as there are processors, and proves from
their traces that each kept its promises (tests/checker).

Exit code: 0 all hold, 1 a seed broke a promise (it is named, with how to run it alone).
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_part(program, checker, first, count, folder):
    """Runs some seeds and checks their traces. Returns whether all is well, and what was said."""
    folder.mkdir()
    simulated = run([program, "--first", str(first), "--count", str(count), "--out", str(folder)])
    ok, said = simulated.returncode == 0, simulated.stdout
    for description in sorted(folder.glob("*.run.json")):
        group = description.name.removesuffix(".run.json")
        checked = run([sys.executable, checker, str(description), str(folder / f"{group}.trace.jsonl")])
        ok = ok and checked.returncode == 0
        said += f"{group}: {checked.stdout}"
    return ok, said


def main(program, checker, count, first="1"):
    processors, count, first = os.cpu_count() or 1, int(count), int(first)
    parts = min(4 * processors, count)
    cuts = [first + count * part // parts for part in range(parts + 1)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processors) as pool:
        jobs = [
            pool.submit(run_part, program, checker, begin, end - begin, Path(folder) / str(begin))
            for begin, end in zip(cuts, cuts[1:])
        ]
        results = [job.result() for job in jobs]
    for ok, said in results:
        if not ok:
            print(said)
    print(f"{count} seeds from {first} on: {'all hold' if all(ok for ok, _ in results) else 'promises were broken'}")
    return 0 if all(ok for ok, _ in results) else 1


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
