"""Where the runs of a comparison lie, and which of them are done.

A run's directory is named for its cell and for a hash of all that its outcome depends on: the resolved job, whether it
is real or simulated, and the programs. It counts as done once `done.json` is in it, which is written last; what a
stopped or failed run left is removed before the run is made again.
"""

import hashlib
import json
import shutil
from pathlib import Path

from .files import write_whole
from .grid import Cell

DONE = "done.json"


class RunCache:
    def __init__(self, folder: Path):
        self.folder = folder

    def run_dir(self, cell: Cell, resolved_job: str, kind: str, identity: str) -> Path:
        text = "\0".join((resolved_job, kind, identity))
        return self.folder / f"{cell.file_name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @staticmethod
    def is_done(run_dir: Path) -> bool:
        return (run_dir / DONE).exists()

    @staticmethod
    def took_s(run_dir: Path) -> float:
        """How long the run took to make, in real time."""
        try:
            return float(json.loads((run_dir / DONE).read_text())["took_s"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    @staticmethod
    def make_room(run_dir: Path) -> None:
        shutil.rmtree(run_dir, ignore_errors=True)
        run_dir.parent.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def mark_done(run_dir: Path, cell: Cell, took_s: float) -> None:
        write_whole(run_dir / DONE, json.dumps({"run": cell.words, "took_s": round(took_s, 3)}) + "\n")
