"""Files stay small enough to be read: a word of warning at 400 lines, a failure above 600."""

import sys

import rules
from tree import Problem, Tree


def check(tree: Tree) -> list[Problem]:
    problems = []
    for file in tree.files.values():
        if not file.is_source and file.ending not in (".py", ".sh", ""):
            continue
        length = len(file.lines)
        if length > rules.LINES_MAX:
            problems.append(Problem(file.path, rules.LINES_MAX, f"{length} lines, at most {rules.LINES_MAX}: split it"))
        elif length > rules.LINES_WARN:
            print(f"warning: {file.path} has {length} lines; is there a reason?", file=sys.stderr)
    return problems
