"""Processes that have to share processors: what they wait for then is each other's turn, whatever the mode."""

import json
import os
from pathlib import Path

from .run_figures import job_value


def processes(job: dict) -> int:
    """Workers and servers; scheduler and evaluator have little to do most of the time."""
    return job_value(job, "cluster.workers", 1) + job_value(job, "cluster.servers", 1)


def here() -> int:
    return os.cpu_count() or 1


def of_run(run_dir: Path) -> int | None:
    """How many a run had: this machine's, for a run of real processes on one host, which is taken for this one. None for
    virtual time, and for several hosts."""
    try:
        endpoint = json.loads((run_dir / "scheduler.json").read_text()).get("endpoint", "")
    except (OSError, ValueError, AttributeError):
        return None
    return here() if str(endpoint).startswith("ipc:") else None
