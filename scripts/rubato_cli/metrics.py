"""RUN/metrics.jsonl: one JSON object a line, read while the scheduler writes it."""

import json
from pathlib import Path


class MetricsFile:
    """Follows the file. `last` is its newest record."""

    def __init__(self, path: Path):
        self.last: dict = {}
        self._path = path
        self._offset = 0

    def new_records(self) -> list[dict]:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        records = [record for line in data.splitlines() if (record := _parse(line))]
        if records:
            self.last = records[-1]
        return records


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
