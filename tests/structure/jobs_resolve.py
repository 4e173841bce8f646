"""Every example in jobs/ is a job that the scheduler takes. Usage: jobs_resolve.py SCHEDULER_PROGRAM [ROOT]"""

import subprocess
import sys
import tempfile
from pathlib import Path


def main(scheduler: str, root: str = str(Path(__file__).resolve().parents[2])) -> int:
    jobs = sorted((Path(root) / "jobs").glob("*.toml"))
    failed = 0
    for job in jobs:
        with tempfile.TemporaryDirectory() as run_dir:
            result = subprocess.run([scheduler, "--resolve", job, "--run-dir", run_dir], capture_output=True, text=True)
            if result.returncode != 0 or not (Path(run_dir) / "job.toml").exists():
                print(f"{job}: exit code {result.returncode}: {result.stderr.strip()}")
                failed += 1
    print(f"jobs: {failed} of {len(jobs)} do not resolve")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
