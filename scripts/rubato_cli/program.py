"""Commands that are a program of the build: it knows its options better than we do; only the build folder is ours to
know."""

import argparse
import os
import sys
from pathlib import Path

from .failure import Failure
from .processes import child_environment


def become(name: str, first: list[str], words: list[str], build_dir: Path) -> int:
    """This process goes on as the program, with `first` before what was typed."""
    ours = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    ours.add_argument("--build-dir", type=Path, default=build_dir)
    known, words = ours.parse_known_args(words)
    program = known.build_dir / "bin" / name
    sys.stdout.flush()
    try:
        os.execve(program, [str(program), *first, *words], child_environment())
    except OSError as error:
        raise Failure(f"there is no {program}; build first: scripts/build.sh") from error
