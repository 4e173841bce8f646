"""Nothing is left for later in the tree: what is to be done stands in an issue."""

import re

import rules
from tree import Problem, Tree

FORBIDDEN = re.compile(r"\b(" + "|".join(rules.FORBIDDEN_WORDS) + r")\b")


def check(tree: Tree) -> list[Problem]:
    return [
        Problem(file.path, number, f"{match[1]}: write an issue instead")
        for file in tree.files.values()
        for number, line in enumerate(file.lines, 1)
        if (match := FORBIDDEN.search(line))
    ]
