"""The files of the repository, as the checks see them."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

SOURCE_ENDINGS = {".h", ".cc", ".cu", ".cuh"}
TEXT_ENDINGS = SOURCE_ENDINGS | {".py", ".sh", ".cmake", ".txt", ".md", ".toml", ".json"}
SKIPPED = {".git", "runs", "__pycache__"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


@dataclass(frozen=True)
class Problem:
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Include:
    line: int
    header: str
    quoted: bool


@dataclass
class File:
    path: str  # relative to the repository's root
    text: str

    @property
    def folder(self) -> str:
        return self.path.split("/")[0]

    @property
    def ending(self) -> str:
        return Path(self.path).suffix

    @property
    def is_source(self) -> bool:
        return self.ending in SOURCE_ENDINGS

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def includes(self) -> list[Include]:
        found = []
        for number, line in enumerate(self.lines, 1):
            match = INCLUDE.match(line)
            if match:
                found.append(Include(number, match[2], match[1] == '"'))
        return found

    def matches(self, patterns: list[str]) -> bool:
        return any(fnmatch(self.path, pattern) for pattern in patterns)


class Tree:
    """All text files, by path. Reads the disk when it is made, never again."""

    def __init__(self, root: Path):
        self.root = root
        self.files: dict[str, File] = {}
        for path in sorted(self._walk(root)):
            name = path.relative_to(root).as_posix()
            self.files[name] = File(name, path.read_text(errors="replace"))

    @property
    def sources(self) -> list[File]:
        return [file for file in self.files.values() if file.is_source]

    def included(self, file: File) -> list[File]:
        """The files of the repository that `file` includes."""
        return [self.files[include.header] for include in file.includes if include.header in self.files]

    def _walk(self, folder: Path):
        for path in folder.iterdir():
            if path.name in SKIPPED or path.is_symlink():
                continue
            if path.is_dir():
                if not (folder == self.root and path.name.startswith("build")):
                    yield from self._walk(path)
            elif path.suffix in TEXT_ENDINGS or is_script(path):
                yield path


def is_script(path: Path) -> bool:
    """Executables without an ending, such as scripts/rubato and .ci/run."""
    if path.suffix:
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"#!"
