"""What a page quotes stands in the tree. A block of a page in docs/ whose first line is a comment with the path of a file,
`// kernels/op_desc.h` or `# base/CMakeLists.txt`, quotes that file: its lines follow each other there. A line of three
dots stands for any number of lines; spaces do not count."""

import re

from tree import File, Problem, Tree

PATH = re.compile(r"^(?://|#) ((?:[\w.-]+/)*[\w-]+\.\w+)$")
LEFT_OUT = re.compile(r"^(?://|#)?\s*\.\.\.$")


def check(tree: Tree) -> list[Problem]:
    return [
        problem
        for file in tree.files.values()
        if file.folder == "docs" and file.ending == ".md"
        for problem in _of_page(tree, file)
    ]


def _of_page(tree: Tree, page: File) -> list[Problem]:
    problems = []
    for first, block in _blocks(page):
        match = PATH.match(block[0]) if block else None
        if not match:
            continue
        quoted = tree.files.get(match[1])
        if quoted is None:
            problems.append(Problem(page.path, first, f"quotes {match[1]}, which is not there"))
            continue
        lines = [_bare(line) for line in quoted.lines if _bare(line)]
        at = 0
        anywhere = True
        for number, line in enumerate(block[1:], first + 1):
            if LEFT_OUT.match(line.strip()):
                anywhere = True
            elif _bare(line):
                found = lines.index(_bare(line), at) if anywhere and _bare(line) in lines[at:] else at
                if found >= len(lines) or lines[found] != _bare(line):
                    problems.append(Problem(page.path, number, f"is not what {match[1]} says there"))
                    break
                at, anywhere = found + 1, False
    return problems


def _blocks(page: File) -> list[tuple[int, list[str]]]:
    """With the number of their first line."""
    blocks, inside = [], None
    for number, line in enumerate(page.lines, 1):
        if not line.startswith("```"):
            if inside is not None:
                inside[1].append(line)
        elif inside is None:
            inside = (number + 1, [])
        else:
            blocks.append(inside)
            inside = None
    return blocks


def _bare(line: str) -> str:
    return "".join(line.split())
