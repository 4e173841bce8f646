"""The checker of tests/checker on a run that was traced (debug.trace = true)."""

import subprocess
import sys

from run import ROOT, Run

CHECKER = ROOT / "tests" / "checker" / "check_trace.py"


def check(run: Run) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, CHECKER, run.run_dir], capture_output=True, text=True)
