"""Files that are there whole or not at all."""

import os
from pathlib import Path

from rubato_cli.failure import ExitCode, Failure, reason


def write_whole(path: Path, text: str | bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(text.encode() if isinstance(text, str) else text)
        os.replace(temporary, path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {reason(error)}", ExitCode.STORAGE) from error
