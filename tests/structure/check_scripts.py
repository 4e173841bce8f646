"""Shell scripts parse and stop at the first error; every script says near its top how it is used."""

import os
import subprocess

from tree import File, Problem, Tree

HEAD_LINES = 12


def check(tree: Tree) -> list[Problem]:
    problems = []
    for file in tree.files.values():
        if file.ending == ".sh" or file.lines[:1] and file.lines[0].startswith("#!"):
            problems += _check_script(tree, file)
    return problems


def _check_script(tree: Tree, file: File) -> list[Problem]:
    problems = []
    first = file.lines[0] if file.lines else ""
    head = "\n".join(file.lines[:HEAD_LINES]).lower()
    if "usage:" not in head:
        problems.append(Problem(file.path, 1, "no `Usage:` line near its top"))
    if first.startswith("#!") and not os.access(tree.root / file.path, os.X_OK):
        problems.append(Problem(file.path, 1, "begins with #! and is not executable"))
    if file.ending == ".sh" or "bash" in first:
        problems += _check_shell(tree, file, sourced=not first.startswith("#!"))
    return problems


def _check_shell(tree: Tree, file: File, sourced: bool) -> list[Problem]:
    problems = []
    if not sourced and "set -euo pipefail" not in file.lines:
        problems.append(Problem(file.path, 1, "has no line `set -euo pipefail`"))
    parsed = subprocess.run(["bash", "-n", tree.root / file.path], capture_output=True, text=True)
    if parsed.returncode != 0:
        problems.append(Problem(file.path, 1, "bash -n: " + parsed.stderr.strip().replace("\n", "; ")))
    return problems
