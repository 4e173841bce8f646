"""A file of lines, read while another process writes it."""

import os
from pathlib import Path


class GrowingFile:
    """Follows the file. To look costs next to nothing as long as nothing is new: a job that waits is looked at often."""

    def __init__(self, path: Path):
        self.path = path
        self._offset = 0

    def new_lines(self) -> list[bytes]:
        """Those completed since the last call; none if there is no such file yet."""
        try:
            if os.stat(self.path).st_size == self._offset:
                return []
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.split(b"\n")[:-1]
