#!/usr/bin/env python3
"""How often the processes of a job allocate memory in a step, once they are warm.

Usage: tests/system/allocations.py BUILD_FOLDER [LANE [MODE]]    (shows what test_allocations.py counts, and who it is)

The same job is run with few steps and with many: the difference is what the steps between took.
"""

import json
import subprocess
import sys
import unittest
from collections import Counter, defaultdict
from pathlib import Path

import images
from system_case import SystemCase, lane

FEW, MANY = 200, 700
ROLES = ("worker", "server")
# The thread that a program begins on is named for the program, as far as the system's 15 letters go.
MAIN = {"rubato-worker": "loop", "rubato-server": "loop"}


def library(build: Path) -> Path:
    return build / "lib/liballocation_counter.so"


class Counted:
    """What a run has allocated: calls by (role, thread), and by the callers of each."""

    def __init__(self, folder: Path):
        self.calls, self.octets, self.stacks = Counter(), Counter(), Counter()
        for path in folder.glob("*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            words = lines[0]["command"].split()
            program = Path(words[0]).name.removeprefix("rubato-")
            if program not in ROLES or not {"--evaluator", "--estimate", "--resolve"}.isdisjoint(words):
                continue
            threads = [line for line in lines if "tid" in line]
            for thread in threads:
                who = program, MAIN.get(thread["name"], thread["name"])
                self.calls[who] += thread["calls"]
                self.octets[who] += thread["bytes"]
            for line in lines:
                if "frames" in line:
                    name = threads[line["thread"]]["name"]
                    frames = tuple((module, offset) for module, offset in line["frames"])
                    self.stacks[program, MAIN.get(name, name), frames] += line["stack_calls"]


class AllocationsCase(SystemCase):
    def count(self, steps: int, stacks: bool, settings: dict) -> Counted:
        data = images.write(self.folder / "images", train=640, test=10)
        folder = self.folder / f"allocations-{steps}-{self._runs}"
        folder.mkdir()
        self.environment |= {"LD_PRELOAD": str(library(self.build)), "RUBATO_ALLOCATIONS": str(folder)}
        if stacks:
            self.environment["RUBATO_ALLOCATION_STACKS"] = "1"
        self.train("fashion_mlp", "--no-progress", "--workers", 1, "--servers", 1, model__hidden=[128, 128], train__steps=steps,
                   train__batch=16, cluster__slice_bytes=65536, evaluation__every_epochs=1_000_000, **data, **settings)
        return Counted(folder)

    def in_a_step(self, lane_name: str, mode: str, stacks: bool = False):
        """Calls and bytes in a step, by (role, thread); with `stacks` also calls by callers."""
        settings = {"consistency__mode": mode, **lane(lane_name)}
        few, many = self.count(FEW, stacks, settings), self.count(MANY, stacks, settings)
        steps = MANY - FEW

        def rate(which):
            after, before = getattr(many, which), getattr(few, which)
            return {key: (after[key] - before[key]) / steps for key in after}

        return rate("calls"), rate("octets"), rate("stacks")


def names(frames) -> list[str]:
    """The functions of the program itself and of libraries, innermost first."""
    by_module = defaultdict(list)
    for module, offset in frames:
        by_module[module].append(offset)
    found = {}
    for module, offsets in by_module.items():
        said = subprocess.run(["addr2line", "-Cfp", "-e", module, *(hex(offset - 1) for offset in offsets)],
                              capture_output=True, text=True).stdout.splitlines()
        found |= {(module, offset): line.split(" at ")[0] for offset, line in zip(offsets, said)}
    return [found.get((module, offset), "?") for module, offset in frames]


class Show(AllocationsCase):
    lane_name, mode = "shm", "asp"

    def test_show(self):
        calls, octets, stacks = self.in_a_step(self.lane_name, self.mode, stacks=True)
        for who in sorted(calls):
            print(f"{' '.join(who):<32} {calls[who]:9.2f} calls {octets[who]:11.1f} bytes a step")
        for (role, thread, frames), rate in sorted(stacks.items(), key=lambda item: -item[1]):
            if rate >= 0.5:
                own = [name for name in names(frames) if "rubato" in name or "boost" in name or "zmq" in name]
                print(f"{rate:8.2f} {role} {thread}: {' < '.join(own[:5]) or ' < '.join(names(frames)[:5])}")


if __name__ == "__main__":
    SystemCase.build = Path(sys.argv[1]).resolve()
    Show.lane_name, Show.mode = (sys.argv[2:] + ["shm", "asp"][len(sys.argv) - 2:])[:2]
    unittest.main(argv=sys.argv[:1])
