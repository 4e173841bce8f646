"""A job's status as text: a heading, its workers with who waits for whom, its servers, its last events."""

from . import text
from .progress_lines import evaluated_accuracy, headline
from .tables import table

EVENTS_MAX = 5


# Columns that narrow terminals lack, in this order; who waits for whom stays.
WORKER_COLUMNS_DROPPED = ("pid", "age", "lead", "step ms", "loss", "waited", "samples/s", "staleness", "state")
SERVER_COLUMNS_DROPPED = ("pid", "repeated", "refused", "bytes", "slices", "pushes")


def job_lines(status: dict, width: int | None = None) -> list[str]:
    """`width`: of the terminal, if it is one."""
    lines = [
        f"{status.get('run_dir') or text.MISSING}  ({status.get('mode') or 'mode unknown'}, "
        f"running for {text.duration(status.get('elapsed_s'))})",
        headline(status),
    ]
    for section in (_workers(status, width), _servers(status, width), _evaluator(status), _events(status)):
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
            text.percent(evaluated_accuracy(status), 1),
            text.duration(status.get("elapsed_s")),
        ]
        for status in statuses
    ]
    return table(headings, rows)


def _workers(status: dict, width: int | None) -> list[str]:
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
    lines = _fitting(headings, rows, WORKER_COLUMNS_DROPPED, width, text.DOING_WIDTH)
    if width is not None and any(len(line) > width for line in lines):
        for worker, row, line in zip(workers, rows, lines[1:]):
            row[-1] = text.doing_in_short(worker) if len(line) > width else row[-1]
        lines = _fitting(headings, rows, WORKER_COLUMNS_DROPPED, width, text.DOING_WIDTH)
    return lines


def _fitting(headings, rows, dropped, width: int | None, last_width: int | None = None) -> list[str]:
    """The table with as many columns as fit. The last one counts as `last_width`, if that is given, so that columns do not
    come and go with what it says."""
    if not rows:
        return []
    kept = list(range(len(headings)))

    def needed() -> int:
        widths = [max(len(cells[at]) for cells in (headings, *rows)) for at in kept]
        return sum(widths[:-1]) + len("  ") * (len(kept) - 1) + (last_width or widths[-1])

    for name in dropped:
        if width is None or needed() <= width:
            break
        kept.remove(headings.index(name))
    return table([headings[at] for at in kept], [[row[at] for at in kept] for row in rows])


def _waited(worker: dict) -> str:
    """`95% for worker-0`, lately"""
    share, culprit = worker.get("waited_share"), worker.get("waited_for")
    return text.percent(share) + (f" for {culprit}" if culprit and share >= 0.005 else "")


def _servers(status: dict, width: int | None) -> list[str]:
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
    return _fitting(headings, rows, SERVER_COLUMNS_DROPPED, width)


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
