"""The cores are pure: what they must not touch, they cannot reach through any header of the repository."""

import rules
from tree import File, Problem, Tree


def check(tree: Tree) -> list[Problem]:
    problems = []
    for file in tree.sources:
        if file.matches(rules.CORES) and not file.matches(rules.NOT_CORES):
            problems += _headers(tree, file) + _words(file)
    return problems


def _headers(tree: Tree, core: File) -> list[Problem]:
    problems = []
    for include in core.includes:
        way = _way_to_forbidden(tree, include.header, set())
        if way:
            problems.append(Problem(core.path, include.line, f"a core may not reach <{way[-1]}> ({' -> '.join(way)})"))
    return problems


def _way_to_forbidden(tree: Tree, header: str, seen: set[str]) -> list[str] | None:
    if header in rules.FORBIDDEN_HEADERS_IN_CORES:
        return [header]
    if header not in tree.files or header in seen:
        return None
    seen.add(header)
    for include in tree.files[header].includes:
        way = _way_to_forbidden(tree, include.header, seen)
        if way:
            return [header, *way]
    return None


def _words(core: File) -> list[Problem]:
    return [
        Problem(core.path, number, f"a core may not use {word.rstrip('(')}: it is given time and randomness")
        for number, line in enumerate(core.lines, 1)
        for word in rules.FORBIDDEN_WORDS_IN_CORES
        if word in line.split("//")[0]
    ]
