"""Runs clang-tidy over the product's sources, as many at a time as there are processors, and behind all else that runs.

Usage: lint.py BUILD_DIR [SOURCE...]   (sources relative to the repository's root; without any, all)

It is PyPI's, in a version that does not look into the system's headers and so takes a third of the time of Debian's,
which stands in where PyPI is out of reach.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rules

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pypi import install  # noqa: E402

REQUIREMENT = "clang-tidy==23.1.4"
ROOT = Path(__file__).resolve().parents[2]


def sources(build_dir: str) -> list[str]:
    """What the build compiles as C++ in the folders of the table."""
    commands = json.loads((Path(build_dir) / "compile_commands.json").read_text())
    paths = {Path(command["file"]) for command in commands}
    inside = [path.relative_to(ROOT) for path in paths if path.is_relative_to(ROOT) and path.suffix == ".cc"]
    return sorted(str(path) for path in inside if path.parts[0] in rules.MAY_INCLUDE)


def find_program(build_dir: str) -> str | None:
    """clang-tidy in an environment of its own, or the system's; None if there is neither."""
    python = install(Path(build_dir).resolve() / "clang-tidy", REQUIREMENT, "clang_tidy")
    if python is not None:
        return str(python.with_name("clang-tidy"))
    print("lint: the system's clang-tidy is taken")
    return shutil.which("clang-tidy")


@functools.cache
def compiler_headers() -> str:
    """Where the compiler keeps its own, such as omp.h; behind clang-tidy's own."""
    return subprocess.run(["c++", "-print-file-name=include"], capture_output=True, text=True, check=True).stdout.strip()


def lint(program: str, build_dir: str, source: str) -> str:
    """What clang-tidy has against one source; empty if nothing."""
    result = subprocess.run([program, "-p", build_dir, "--quiet", f"--extra-arg=-idirafter{compiler_headers()}", source],
                            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return "" if result.returncode == 0 else result.stdout or result.stderr


def main(build_dir: str, *asked: str) -> int:
    program = find_program(build_dir)
    if program is None:
        print("skipped: no clang-tidy here: scripts/setup.sh --test installs it")
        return 77
    os.nice(19)  # other tests wait much of their time, and are not to wait for this
    chosen = list(asked) or sources(build_dir)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = [text for text in pool.map(lambda source: lint(program, build_dir, source), chosen) if text]
    for text in complaints:
        print(text)
    print(f"lint: {len(complaints)} of {len(chosen)} sources")
    return 1 if complaints else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
