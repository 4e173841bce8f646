"""A package of PyPI in an environment of its own, for tests that want what Debian does not have."""

import subprocess
import sys
from pathlib import Path


def install(folder: Path, requirement: str, module: str, *, with_system: bool = False) -> Path | None:
    """The environment's Python, in which `module` can be imported; it is made once. `with_system`: it sees this Python's
    packages, too, and takes none but this one. None where it cannot be fetched, which is said."""
    python = folder / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
        return python
    seen, alone = (["--system-site-packages"], ["--no-deps"]) if with_system else ([], [])
    for command in ([sys.executable, "-m", "venv", "--clear", *seen, folder],
                    [python, "-m", "pip", "install", "--quiet", *alone, requirement]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{requirement} cannot be installed: {(done.stderr or done.stdout).strip()[-400:]}")
            return None
    return python
