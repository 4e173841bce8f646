"""The last words on a job: what came out, where it is, how long it took; or why it failed."""

import math
import os

from rubato_timeline.draw import draw, lines_of

from . import text
from .failure import ExitCode, Failure, code_words, describe_end
from .job import Job
from .progress_lines import ended_part
from .run_dir import RunDir
from .supervisor import Supervisor
from .verdict import Verdict

ROOM_FOR_WORDS = 8192  # a disk with less free has lost some


def success_lines(run_dir: RunDir, job: Job, supervisor: Supervisor, elapsed_s: float, how: str) -> list[str]:
    status, final = supervisor.last_status, supervisor.metrics.last
    lines = _evaluation(run_dir, job, final)
    parts = [f"{how} in {text.duration(elapsed_s)}"]
    rate = final.get("samples_per_s") or status.get("samples_per_s")
    if rate is not None:
        parts.append(text.rate(rate))
    part = ended_part(final or status)
    accuracy, loss = final.get(f"{part}_accuracy", status.get(f"{part}_accuracy")), final.get(f"{part}_loss")
    if accuracy is not None:
        parts.append(f"{part} accuracy {text.percent(accuracy, 2)}{tested_weights(final)}")
    elif loss is not None:
        parts.append(f"{part} loss {text.loss(loss)}{tested_weights(final)}")
    lines.append(", ".join(parts))
    if final.get("nonfinite"):
        lines.append(_dropped(final, is_lost=f"{part}_loss" in final and loss is None))
    return lines + _where(run_dir) + _record(run_dir, final.get("pushes")) + _timeline(run_dir)


def _evaluation(run_dir: RunDir, job: Job, final: dict) -> list[str]:
    """The table of it; but a text's has a row for each byte that occurs, and tells less than a line."""
    try:
        table = run_dir.evaluation.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        return []  # no evaluation was asked for, or none could be made
    if not job.is_text:
        return ["", table, ""]
    return ["", f"{_text_figures(final)}; {run_dir.evaluation} has a table of its bytes", ""]


def _text_figures(final: dict) -> str:
    part = ended_part(final)
    loss, accuracy = final.get(f"{part}_loss"), final.get(f"{part}_accuracy")
    bits = None if loss is None else loss / math.log(2)
    return f"{part} loss {text.loss(loss)} nats, {text.loss(bits)} bits a byte, accuracy {text.percent(accuracy, 2)}"


def _dropped(final: dict, is_lost: bool) -> str:
    """Of gradients that were not finite. Warnings of them came as training went on, far above by now."""
    count, first = final["nonfinite"], final.get("first_nonfinite")
    line = f"{'it diverged: ' if is_lost else ''}{text.plural(count, 'gradient')} of slices {'was' if count == 1 else 'were'} " \
           "not finite and dropped"
    if first:
        line += f", {'that' if count == 1 else 'the first'} of {first['parameter']} at clock {first['clock']} of " \
                f"{first['worker']}, after {text.duration(first['time_s'])}"
    if is_lost:
        line += "; the loss is no number any more"
    return f"warning: {line}; a smaller optimizer.rate, a warm-up or optimizer.clip_norm may help"


def tested_weights(final: dict) -> str:
    """Which weights a test was of, where they are not simply the last ones."""
    weights = "moving average of the weights" if final.get("average") else "weights"
    if final.get("best_epoch"):
        return f" of the best {weights}, of epoch {final['best_epoch']}"
    return f" of the {weights}" if final.get("average") else ""


def failure_line(run_dir: RunDir, verdict: Verdict) -> str:
    """One line: who, how, the last thing it said, and where the logs are. The scheduler speaks of others."""
    blamed, logs = verdict.blamed, f"logs in {run_dir.logs}"
    if blamed is None:
        return f"the job failed ({logs})"
    if blamed.killed:
        return f"{blamed.node} {blamed.killed}; the launcher ended the job ({logs})"
    if blamed.node == "scheduler" and blamed.last_words and blamed.return_code > 0:
        return f"{blamed.last_words} ({code_words(blamed.return_code)}; {logs})"
    words = f": {blamed.last_words}" if blamed.last_words else _full_disk(run_dir, blamed.return_code)
    return f"{blamed.node} {describe_end(blamed.return_code)}{words} ({logs})"


def _full_disk(run_dir: RunDir, return_code: int) -> str:
    """What a process had to say of it went into a log on that disk."""
    if return_code != ExitCode.STORAGE:
        return ""
    disk = os.statvfs(run_dir.path)
    if disk.f_bavail * disk.f_frsize >= ROOM_FOR_WORDS:
        return ""
    return (f": the disk of {run_dir.path} is full ({text.size(disk.f_bavail * disk.f_frsize)} of "
            f"{text.size(disk.f_blocks * disk.f_frsize)} are free)")


def _where(run_dir: RunDir) -> list[str]:
    lines = [f"  run      {run_dir.path}"]
    if run_dir.best.exists():
        lines.append(f"  best     {run_dir.best}")
    if run_dir.weights.exists():
        lines.append(f"  weights  {run_dir.weights}")
    if run_dir.metrics.exists():
        lines.append(f"  metrics  {run_dir.metrics}")
    return lines


def _record(run_dir: RunDir, pushes) -> list[str]:
    """What a replay needs of this run, and what keeping it took."""
    if not run_dir.record.is_dir():
        return []
    octets = sum(file.stat().st_size for file in run_dir.record.iterdir())
    each = f", {octets / pushes:.1f} bytes a push" if pushes else ""
    return [f"  record   {run_dir.record}, {text.size(octets)}{each}"]


def _timeline(run_dir: RunDir) -> list[str]:
    """The picture of some steps, where one was asked for: it is made here, of what all processes have written."""
    if not run_dir.timeline.is_dir():
        return []
    try:
        path, notes = draw(run_dir.path)
    except Failure as failure:  # the job has ended well all the same
        return [f"warning: {failure}"]
    return [f"  timeline {path}, for https://ui.perfetto.dev", *lines_of(notes)]
