"""The command `simulate`: one job in one process and in virtual time. It is the program rubato-sim, which knows its
options better than we do; only the build folder is ours to know."""

import argparse
import os
import sys
from pathlib import Path

from .failure import Failure
from .processes import child_environment


def simulate(words: list[str], build_dir: Path) -> int:
    ours = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    ours.add_argument("--build-dir", type=Path, default=build_dir)
    known, words = ours.parse_known_args(words)
    program = known.build_dir / "bin" / "rubato-sim"
    sys.stdout.flush()
    try:
        os.execve(program, [str(program), *words], child_environment())
    except OSError as error:
        raise Failure(f"there is no {program}; build first: scripts/build.sh") from error
