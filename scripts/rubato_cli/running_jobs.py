"""The user's running jobs: each scheduler keeps a small file about its job in a folder of the user's."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .proc import process_exists, program_of
from .scheduler_client import SchedulerClient

PROGRAM = "rubato-scheduler"


@dataclass(frozen=True)
class RunningJob:
    run_dir: Path
    client: SchedulerClient


def folders() -> list[Path]:
    """XDG_RUNTIME_DIR may be set in one terminal and not in another, so both places are read."""
    places = [Path(f"/tmp/rubato-{os.getuid()}")]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        places.insert(0, Path(runtime) / "rubato")
    return [place for place in places if _is_ours(place)]


def running_jobs() -> list[RunningJob]:
    """The oldest first. Files that a killed scheduler left behind are removed."""
    found = []
    for folder in folders():
        for path in folder.glob("*.json"):
            try:
                entry = json.loads(path.read_text())
                if not _is_running(int(entry["pid"]), entry.get("started")):
                    path.unlink(missing_ok=True)
                    continue
                address = {"endpoint": "", "job_id": path.stem, **entry}
                found.append((entry.get("started") or 0, RunningJob(Path(entry["run_dir"]), SchedulerClient(address))))
            except (OSError, ValueError, KeyError, TypeError):
                continue
    found.sort(key=lambda item: str(item[0]))
    return [job for _, job in found]


def _is_running(pid: int, started: float | None) -> bool:
    """Another process may have its number. It is younger; but so is everybody, as it looks, once the clock was set forward."""
    return process_exists(pid, born_before=started) or (process_exists(pid) and PROGRAM in program_of(pid))


def _is_ours(folder: Path) -> bool:
    # Anyone may make folders in /tmp: what another user put there is not believed.
    try:
        return folder.stat().st_uid == os.getuid()
    except OSError:
        return False
