"""RUN/metrics.jsonl: one JSON object a line, read while the scheduler writes it."""

import json
from pathlib import Path

from .growing_file import GrowingFile


class MetricsFile:
    """Follows the file. `last` is its newest record."""

    def __init__(self, path: Path):
        self.last: dict = {}
        self._file = GrowingFile(path)

    def new_records(self) -> list[dict]:
        records = [record for line in self._file.new_lines() if (record := _parse(line))]
        if records:
            self.last = records[-1]
        return records


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
