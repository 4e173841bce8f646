"""No file includes itself, directly or through others."""

from tree import Problem, Tree


def check(tree: Tree) -> list[Problem]:
    problems = []
    done: set[str] = set()
    for file in tree.sources:
        _visit(tree, file.path, [], done, problems)
    return problems


def _visit(tree: Tree, path: str, way: list[str], done: set[str], problems: list[Problem]) -> None:
    if path in way:
        cycle = [*way[way.index(path):], path]
        problems.append(Problem(path, 1, "include cycle: " + " -> ".join(cycle)))
        return
    if path in done:
        return
    for included in tree.included(tree.files[path]):
        _visit(tree, included.path, [*way, path], done, problems)
    done.add(path)
