"""A job's status as text: a heading, its workers with who waits for whom, its servers, its last events."""

from . import text
from .progress_lines import headline
from .tables import table

EVENTS_MAX = 5


def job_lines(status: dict) -> list[str]:
    lines = [
        f"{status.get('run_dir') or text.MISSING}  ({status.get('mode') or 'mode unknown'}, "
        f"running for {text.duration(status.get('elapsed_s'))})",
        headline(status),
    ]
    for section in (_workers(status), _servers(status), _evaluator(status), _events(status)):
        if section:
            lines += ["", *section]
    return lines


def overview_lines(statuses: list[dict]) -> list[str]:
    """One line for each job."""
    headings = ["run", "mode", "state", "epoch", "samples/s", "loss", "accuracy", "running"]
    rows = [
        [
            str(status.get("run_dir") or text.MISSING),
            str(status.get("mode") or text.MISSING),
            str(status.get("state") or text.MISSING),
            f"{text.count(status.get('epoch'))}/{text.count(status.get('epochs'))}",
            text.count(status.get("samples_per_s")),
            text.fixed(status.get("train_loss"), 4),
            text.percent(status.get("test_accuracy"), 1),
            text.duration(status.get("elapsed_s")),
        ]
        for status in statuses
    ]
    return table(headings, rows)


def _workers(status: dict) -> list[str]:
    workers = status.get("workers") or []
    headings = ["worker", "pid", "state", "clock", "staleness", "lead", "samples/s", "step ms", "loss", "age", "waited", ""]
    rows = [
        [
            str(worker.get("node", text.MISSING)),
            _plain(worker.get("pid")),
            str(worker.get("state") or text.MISSING),
            text.count(worker.get("clock")),
            text.count(worker.get("staleness")),
            text.count(worker.get("lead")),
            text.count(worker.get("samples_per_s")),
            text.fixed(worker.get("step_ms"), 1),
            text.fixed(worker.get("loss"), 4),
            text.fixed(worker.get("age_mean"), 2),
            _waited(worker),
            text.doing(worker),
        ]
        for worker in workers
    ]
    return table(headings, rows) if rows else []


def _waited(worker: dict) -> str:
    """`95% for worker-0`, lately"""
    share, culprit = worker.get("waited_share"), worker.get("waited_for")
    return text.percent(share) + (f" for {culprit}" if culprit and share >= 0.005 else "")


def _servers(status: dict) -> list[str]:
    headings = ["server", "pid", "state", "slices", "bytes", "versions", "pushes", "repeated", "refused"]
    rows = [
        [
            str(server.get("node", text.MISSING)),
            _plain(server.get("pid")),
            str(server.get("state") or text.MISSING),
            text.count(server.get("slices")),
            text.size(server.get("bytes")),
            _range(server.get("version_min"), server.get("version_max")),
            text.count(server.get("pushes")),
            text.count(server.get("pushes_repeated")),
            text.count(server.get("refused_frames")),
        ]
        for server in status.get("servers") or []
    ]
    return table(headings, rows) if rows else []


def _evaluator(status: dict) -> list[str]:
    evaluator = status.get("evaluator")
    if not evaluator:
        return []
    epoch = f", epoch {evaluator['epoch']}" if evaluator.get("epoch") is not None else ""
    return [f"{evaluator.get('node', 'evaluator')}: {evaluator.get('state') or text.MISSING}{epoch}"]


def _events(status: dict) -> list[str]:
    events = [event for event in status.get("events") or [] if event.get("level") != "debug"][-EVENTS_MAX:]
    return [
        f"{text.duration(event.get('time_s')):>10}  {event.get('level', 'info')}: {event.get('text', '')}"
        for event in events
    ]


def _plain(value) -> str:
    return text.MISSING if value is None else str(value)


def _range(low, high) -> str:
    if low is None or high is None:
        return text.MISSING
    return text.count(low) if low == high else f"{text.count(low)} to {text.count(high)}"
