"""RUN/timeline.json, from what the processes of a run wrote."""

import json
from pathlib import Path

from rubato_cli.failure import ExitCode, Failure
from rubato_cli.text import plural

from .events import Events
from .layers import layers
from .parts import on_one_clock, read


def draw(run_dir: Path) -> tuple[Path, list[str]]:
    """Writes the picture. Returns where it is, and what a person should know of it: notes, and warnings of what could not
    be read."""
    folder = run_dir / "timeline"
    if not folder.is_dir():
        raise Failure(f"{run_dir} has no timeline: was the job run with --trace?")
    readable, warnings = read(run_dir)
    if not readable:
        raise Failure("; ".join([f"nothing to draw in {folder}", *warnings]))
    parts = on_one_clock(readable)
    notes = [f"warning: {warning}" for warning in warnings]
    if len(readable) > len(parts):
        notes.append(f"{plural(len(readable) - len(parts), 'process', 'es')} of other hosts exchanged nothing with the rest in these "
                     "steps, so nobody can say when theirs were: left out")
    if len({part.clock for part in parts}) > 1:
        notes.append("clocks of several hosts were set by their messages: the fastest there and back took equally long")
    left_out = sum(part.left_out for part in parts)
    if left_out:
        notes.append(f"{plural(left_out, 'span')} found no room: a smaller train.timeline shows all of fewer steps")
    if not any(part.spans for part in parts):
        notes.append("it is empty: " + ("no span could be read" if warnings else
                                        f"no worker did step {parts[0].first}, where it would begin"))
    path = run_dir / "timeline.json"
    picture = {"displayTimeUnit": "ms", "traceEvents": Events(parts).make()}
    try:
        path.write_text(json.dumps(picture, separators=(",", ":")))
    except OSError as error:
        path.unlink(missing_ok=True)  # half a picture opens nowhere
        raise Failure(f"cannot write {path}: {error.strerror}", ExitCode.STORAGE) from error
    return path, notes


def lines_of(notes: list[str]) -> list[str]:
    return [note if note.startswith("warning: ") else f"note: {note}" for note in notes]


def timeline(arguments) -> int:
    """The command: draws again, for instance with what other hosts have written, copied into RUN/timeline; or a table."""
    if arguments.layers:
        print("\n".join(layers(Path(arguments.run_dir))))
        return 0
    path, notes = draw(Path(arguments.run_dir))
    print(f"{path}: open it at https://ui.perfetto.dev")
    for line in lines_of(notes):
        print(line)
    return 0
