"""No source is left over: a .cc or .cu is named by a CMakeLists.txt at or above it, a header is included."""

import re
from pathlib import PurePosixPath

from tree import File, Problem, Tree


def check(tree: Tree) -> list[Problem]:
    included = {include.header for file in tree.files.values() for include in file.includes}
    problems = []
    for file in tree.sources:
        if file.ending in (".h", ".cuh"):
            if file.path not in included:
                problems.append(Problem(file.path, 1, "nobody includes this header"))
        elif file.path not in included and not _is_built(tree, file):
            problems.append(Problem(file.path, 1, "no CMakeLists.txt names this source"))
    return problems


def _is_built(tree: Tree, file: File) -> bool:
    path = PurePosixPath(file.path)
    for folder in path.parents:
        cmake = tree.files.get((folder / "CMakeLists.txt").as_posix())
        relative = path.relative_to(folder).as_posix()
        if cmake and re.search(rf"(?<![\w/.-]){re.escape(relative)}(?![\w/.-])", cmake.text):
            return True
        # foreach(area ...) with test_${area}.cc names its files by their stem.
        if cmake and _named_by_loop(cmake, relative):
            return True
    return False


def _named_by_loop(cmake: File, relative: str) -> bool:
    for loop in re.finditer(r"foreach\((\w+)\s+(?:IN ITEMS\s+)?([^)]*)\)(.*?)endforeach", cmake.text, re.DOTALL):
        variable, values, body = loop.groups()
        for value in values.split():
            if relative in body.replace("${" + variable + "}", value):
                return True
    return False
