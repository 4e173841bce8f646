"""A table of a worker's layers: how long each took in the steps that were looked at."""

from collections import defaultdict
from pathlib import Path

from rubato_cli.failure import Failure
from rubato_cli.tables import table
from rubato_cli.text import plural

from .parts import read

PASSES = ["load", "forward", "undo", "gradient", "backward", "hand over"]


def layers(run_dir: Path) -> list[str]:
    """Milliseconds a step, of the first worker; the slowest layer first."""
    folder = run_dir / "timeline"
    if not folder.is_dir():
        raise Failure(f"{run_dir} has no timeline: was the job run with --trace?")
    parts, warnings = read(run_dir)
    worker = next((part for part in parts if part.role == "worker" and part.spans), None)
    if worker is None:
        raise Failure("; ".join([f"no worker's steps in {folder}", *warnings]))
    steps = [span for span in worker.spans if span.what == "step"]
    if not steps:
        raise Failure(f"{worker.node} drew no whole step")
    whole = sum(span.end - span.begin for span in steps)
    took = defaultdict(lambda: defaultdict(int))
    for span in worker.spans:
        if span.what in PASSES and span.of:
            took[span.of][span.what] += span.end - span.begin
        elif span.what in ("loss", "read"):
            took[span.what][""] += span.end - span.begin

    def milliseconds(time: int) -> str:
        return f"{time / len(steps) / 1e6:.3f}" if time else "-"

    rows = []
    for name, passes in sorted(took.items(), key=lambda item: -sum(item[1].values())):
        total = sum(passes.values())
        rows.append([name, *[milliseconds(passes[each]) for each in PASSES], milliseconds(total), f"{100 * total / whole:.1f}"])
    rest = whole - sum(sum(passes.values()) for passes in took.values())
    rows.append(["between them", *["-"] * len(PASSES), milliseconds(max(rest, 0)), f"{100 * max(rest, 0) / whole:.1f}"])
    heading = f"{worker.node}, milliseconds a step, of {plural(len(steps), 'step')} of {milliseconds(whole)}"
    return [heading, *table(["layer", *PASSES, "all", "%"], rows)]
