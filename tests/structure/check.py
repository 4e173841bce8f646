"""Runs one check over the repository and prints what it finds, a problem a line. Usage: check.py NAME [ROOT]"""

import importlib
import sys
from pathlib import Path

from check_format import Skipped
from tree import Tree


def main(name: str, root: str = str(Path(__file__).resolve().parents[2])) -> int:
    module = importlib.import_module(f"check_{name}")
    try:
        problems = module.check(Tree(Path(root).resolve()))
    except Skipped as reason:
        print(f"skipped: {reason}")
        return 77
    for problem in problems:
        print(problem)
    print(f"{name}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
