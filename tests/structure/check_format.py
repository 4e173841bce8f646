"""Every source is as clang-format leaves it (scripts/format.sh)."""

import shutil
import subprocess

from tree import Problem, Tree


class Skipped(Exception):
    pass


def check(tree: Tree) -> list[Problem]:
    if not shutil.which("clang-format"):
        raise Skipped("no clang-format here: scripts/setup.sh --test installs it")
    paths = [tree.root / file.path for file in tree.sources]
    if not paths:
        return []
    result = subprocess.run(["clang-format", "--dry-run", *paths], cwd=tree.root, capture_output=True, text=True)
    problems = {}
    for line in result.stderr.splitlines():
        if "[-Wclang-format-violations]" in line:
            name, number = line.split(":")[:2]
            path = name.removeprefix(str(tree.root) + "/")
            problems.setdefault(path, Problem(path, int(number), "not formatted: run scripts/format.sh"))
    return list(problems.values())
