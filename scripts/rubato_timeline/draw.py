"""RUN/timeline.json, from what the processes of a run wrote."""

import json
from pathlib import Path

from rubato_cli.failure import ExitCode, Failure
from rubato_cli.text import plural

from .events import Events
from .parts import read


def draw(run_dir: Path) -> tuple[Path, list[str]]:
    """Writes the picture. Returns where it is, and what a person should know of it."""
    folder = run_dir / "timeline"
    if not folder.is_dir():
        raise Failure(f"{run_dir} has no timeline: was the job run with --trace?")
    found = len(list(folder.glob("*.jsonl")))
    parts = read(folder)
    notes = []
    if found > len(parts):
        notes.append(f"{plural(found - len(parts), 'process', 'es')} of other hosts exchanged nothing with the rest in these "
                     "steps, so nobody can say when theirs were: left out")
    if len({part.clock for part in parts}) > 1:
        notes.append("clocks of several hosts were set by their messages: the fastest there and back took equally long")
    left_out = sum(part.left_out for part in parts)
    if left_out:
        notes.append(f"{plural(left_out, 'span')} found no room: a smaller train.timeline shows all of fewer steps")
    if not any(part.spans for part in parts):
        first = parts[0].first if parts else 0
        notes.append(f"it is empty: the job did not get to step {first}, where it would begin")
    path = run_dir / "timeline.json"
    picture = {"displayTimeUnit": "ms", "traceEvents": Events(parts).make()}
    try:
        path.write_text(json.dumps(picture, separators=(",", ":")))
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", ExitCode.STORAGE) from error
    return path, notes


def timeline(arguments) -> int:
    """The command: draws again, for instance with what other hosts have written, copied into RUN/timeline."""
    path, notes = draw(Path(arguments.run_dir))
    print(f"{path}: open it at https://ui.perfetto.dev")
    for note in notes:
        print(f"note: {note}")
    return 0
