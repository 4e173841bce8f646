"""Who includes whom: folders, kinds inside a folder, and libraries. The table is in rules.py."""

from fnmatch import fnmatch

import rules
from tree import File, Include, Problem, Tree


def check(tree: Tree) -> list[Problem]:
    problems = []
    for file in tree.sources:
        if file.folder in rules.FREE_FOLDERS:
            continue
        if file.folder not in rules.MAY_INCLUDE:
            problems.append(Problem(file.path, 1, f"the folder {file.folder} is not in the table of rules.py"))
            continue
        for include in file.includes:
            text = _fault(tree, file, include)
            if text:
                problems.append(Problem(file.path, include.line, text))
    return problems


def _fault(tree: Tree, file: File, include: Include) -> str | None:
    if include.header in tree.files:
        return _folder_fault(file, include) or _stranger_fault(file, include)
    if include.quoted:
        return f'"{include.header}" is not in the repository; includes are relative to its root'
    return _library_fault(file, include)


def _folder_fault(file: File, include: Include) -> str | None:
    allowed = set(rules.MAY_INCLUDE[file.folder])
    if file.matches(rules.WIRING):
        allowed |= rules.WIRING_MAY_ALSO_INCLUDE
    target = include.header.split("/")[0]
    if target in allowed:
        return None
    return f"{file.folder} may not include {target} ({include.header})"


def _stranger_fault(file: File, include: Include) -> str | None:
    for kinds in rules.STRANGERS:
        own = next((kind for kind in kinds if file.path.startswith(kind + "/")), None)
        other = next((kind for kind in kinds if include.header.startswith(kind + "/")), None)
        if own and other and own != other:
            return f"{own} may not include {other} ({include.header})"
    return None


def _library_fault(file: File, include: Include) -> str | None:
    for library, (headers, places) in rules.LIBRARIES.items():
        if any(fnmatch(include.header, header) for header in headers) and not file.matches(places):
            return f"{library} (<{include.header}>) belongs in {', '.join(places)}"
    return None
