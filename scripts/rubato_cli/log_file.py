"""The log of one process: `HH:MM:SS.mmm NODE LEVEL: text` a line, read while it is written."""

import re
from dataclasses import dataclass
from pathlib import Path

from .growing_file import GrowingFile

LINE = re.compile(r"^(?P<time>\d\d:\d\d:\d\d\.\d{3}) (?P<node>\S+) (?P<level>[a-z]+): (?P<text>.*)$")


@dataclass(frozen=True)
class LogLine:
    time: str
    node: str
    level: str
    text: str

    @property
    def is_error(self) -> bool:
        return self.level in ("error", "critical")

    @property
    def is_notable(self) -> bool:
        return self.level == "warning" or self.is_error


def parse(line: str) -> LogLine | None:
    match = LINE.match(line)
    return LogLine(match["time"], match["node"], match["level"], match["text"]) if match else None


class LogFile:
    """Follows a log. `last_words` is the last error in it, or else the last line that is no log line:
    what a failed check or a sanitizer leaves when it ends a process."""

    def __init__(self, path: Path):
        self.path = path
        self.last_words = ""
        self._file = GrowingFile(path)
        self._error_seen = False

    def new_lines(self) -> list[LogLine]:
        """The log lines completed since the last call."""
        lines = []
        for octets in self._file.new_lines():
            text = octets.decode(errors="replace")
            line = parse(text)
            if line:
                lines.append(line)
            self._remember(line, text)
        return lines

    def _remember(self, line: LogLine | None, text: str) -> None:
        if line and line.is_error:
            self.last_words = line.text
            self._error_seen = True
        elif not line and text.strip() and not self._error_seen:
            self.last_words = text.strip()
