#!/usr/bin/env python3
"""Usage: seeds.py SIM_SEEDS CHECK_TRACE COUNT [FIRST | fresh]

Runs many seeds of simulated jobs (sim_seeds.cc), as many at a time as there are processors, and proves from
their traces that each kept its promises (tests/checker). `fresh` begins somewhere else every time. Of the first
seed that fails the history is made shorter (shrink.py) before it is shown.

Exit code: 0 all hold, 1 a seed broke a promise (it is named, with how to run it alone).
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shrink import NOT_SIMPLER, shrink

FRESH_BELOW = 1 << 40


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Seeds:
    def __init__(self, program, checker, folder):
        self.program, self.checker, self.folder = program, checker, folder

    def run(self, first, count, simpler=()):
        """Runs some seeds and checks their traces. Returns whether all is well, or None where there is nothing to
        take away; and what was said."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            command = [self.program, "--first", str(first), "--count", str(count), "--out", name]
            simulated = run(command + (["--simpler", ",".join(simpler)] if simpler else []))
            if simpler and simulated.returncode == NOT_SIMPLER:
                return None, ""
            ok, said = simulated.returncode == 0, simulated.stdout
            for description in sorted(folder.glob("*.run.json")):
                group = description.name.removesuffix(".run.json")
                checked = run([sys.executable, self.checker, str(description), str(folder / f"{group}.trace.jsonl")])
                if checked.returncode != 0:
                    ok, said = False, f"{said}{group}: {checked.stdout}"
            return ok, said

    def first_bad(self, begin, end, said):
        """Of seeds some of which fail; those that were named come first."""
        named = dict.fromkeys(int(number) for number in re.findall(r'seed\W+(\d+)', said))
        candidates = [seed for seed in named if begin <= seed < end] + [seed for seed in range(begin, end) if seed not in named]
        return next((seed for seed in candidates if not self.run(seed, 1)[0]), None)

    def explain(self, seed):
        """The shortest history found that still fails."""
        def fails(simpler):
            ok, _ = self.run(seed, 1, simpler)
            return None if ok is None else not ok

        found = shrink(self.program, seed, fails)
        _, said = self.run(seed, 1, found.simpler)
        print(f"seed {seed}, made simpler in {found.tries} tries:\n{said}    {found.command(self.program, seed)}")


def main(program, checker, count, first="1"):
    processors, count = os.cpu_count() or 1, int(count)
    first = secrets.randbelow(FRESH_BELOW) if first == "fresh" else int(first)
    parts = min(4 * processors, count)
    cuts = [first + count * part // parts for part in range(parts + 1)]
    print(f"{count} seeds from {first} on", flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processors) as pool:
        seeds = Seeds(program, checker, folder)
        spans = list(zip(cuts, cuts[1:]))
        bad = [(span, said) for span, (ok, said) in zip(spans, pool.map(lambda span: seeds.run(span[0], span[1] - span[0]), spans))
               if not ok]
        for _, said in bad:
            print(said)
        if bad and (seed := seeds.first_bad(*bad[0][0], bad[0][1])) is not None:
            seeds.explain(seed)
    print("promises were broken" if bad else "all hold")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
