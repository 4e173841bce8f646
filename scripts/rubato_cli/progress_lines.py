"""What a status looks like while a job runs: one plain line, or a bar with a line for each worker."""

from . import text


def fraction_done(status: dict) -> float | None:
    if status.get("state") == "finished":
        return 1.0
    done, total = status.get("samples_done"), status.get("samples_total")
    if not total or done is None:
        return None
    return min(1.0, max(0.0, done / total))


def headline(status: dict) -> str:
    """epoch 2/5, 52%, 7,210 samples/s, loss 0.3120, accuracy 89.4%, 25.1 s left"""
    state = status.get("state") or "starting"
    if state == "starting":
        missing = text.names(status.get("missing"))
        return "starting" + (f", waiting for {missing}" if missing else "")
    parts = [] if state == "training" else [state]
    epoch, epochs, steps = status.get("epoch"), status.get("epochs"), status.get("steps")
    if epoch:  # they count from 1
        parts.append(f"epoch {epoch}/{epochs}" if epochs else f"epoch {epoch}")
    if steps and status.get("clock_min") is not None:
        parts.append(f"step {status['clock_min']}/{steps}")
    going_on = state in ("training", "draining")
    known = (
        ("samples_done", lambda _: text.percent(fraction_done(status))),
        ("samples_per_s", lambda value: text.rate(value) if going_on else text.MISSING),
        ("machine", lambda value: f"machine {value}"),
        ("train_reconstruction", lambda value: f"reconstruction error {value:.4f}"),
        ("train_loss", lambda value: f"loss {text.loss(value)}"),
        (f"{evaluated_part(status)}_accuracy", lambda value: _accuracy(status, value)),
        ("changing", _aligning),
        ("eta_s", lambda value: f"{text.duration(value)} left" if state == "training" else text.MISSING),
    )
    parts += [words(status[field]) for field, words in known if status.get(field) is not None]
    return ", ".join(part for part in parts if part != text.MISSING)


def evaluated_part(status: dict) -> str:
    """What evaluations are made on while training goes on: of a status, or of a line of metrics.jsonl."""
    return "validation" if "validation_accuracy" in status else "test"


def ended_part(final: dict) -> str:
    """What the figures of a job's end are of: with evaluation.holdout the test part too, and then that counts."""
    return "test" if "test_accuracy" in final else evaluated_part(final)


def _accuracy(status: dict, value: float) -> str:
    return ("validation accuracy " if evaluated_part(status) == "validation" else "accuracy ") + text.percent(value, 1)


def evaluated_accuracy(status: dict) -> float | None:
    """Of the newest evaluation, on what it was made on."""
    return status.get(f"{evaluated_part(status)}_accuracy")


def rules_words(rules: dict) -> str:
    """`ssp:2 at rate 0.05`, of whatever has a mode and a rate."""
    return f"{rules['mode']} at rate {rules['rate']:g}"


def _aligning(changing: list[dict]) -> str:
    """aligning to ssp:2 at rate 0.05, 40 clocks to go (then asp at rate 0.05)"""
    if not changing:
        return text.MISSING
    line = f"aligning to {rules_words(changing[0])}, {text.plural(changing[0]['to_go'], 'clock')} to go"
    return line + "".join(f" (then {rules_words(change)})" for change in changing[1:])


def bar(status: dict, full: str, empty: str, width: int) -> str:
    filled = round((fraction_done(status) or 0.0) * width)
    return full * filled + empty * (width - filled)


def worker_lines(status: dict, lines_max: int, width: int) -> list[str]:
    """The workers, the rest counted where they are too many. Who waits for whom has its room first."""
    workers = status.get("workers") or []
    if lines_max < 1 or not workers:
        return []
    shown = workers if len(workers) <= lines_max else workers[: lines_max - 1]
    lines = [_worker_line(worker, width) for worker in shown]
    if len(shown) < len(workers):
        lines.append(f"... and {len(workers) - len(shown)} more (scripts/rubato status shows all)")
    return lines


def _worker_line(worker: dict, width: int) -> str:
    """The columns that fit, the least important dropped first; by the width alone, so that lines stand still."""
    node = f"{worker.get('node', text.MISSING):<10}"
    columns = [
        f"clock {text.count(worker.get('clock')):>7}",
        f" staleness {text.count(worker.get('staleness')):>2}",
        f" {text.count(worker.get('samples_per_s')):>6}/s",
    ]
    room = width - text.DOING_WIDTH - len(node) - len("  ")
    while columns and len(" ".join(columns)) > room:
        columns.pop()
    state = worker.get("state") or text.MISSING
    if not columns:
        return f"{node} {text.doing_in_short(worker) or state}, clock {text.count(worker.get('clock'))}"
    line = f"{node} {' '.join(columns)}  "
    doing = text.doing(worker)
    if len(line + doing) > width:
        doing = text.doing_in_short(worker)
    return line + (doing or state)


def rules_line(record: dict) -> str | None:
    """What a line of metrics.jsonl says of rules that change; None where it says nothing of them."""
    if record.get("event") == "set":
        line = f"set: {rules_words(record)} from clock {record['clock']} on"
        return line + (f", {text.plural(record['to_go'], 'clock')} to go" if record["to_go"] else "")
    if record.get("event") == "in_force":
        return f"in force: {rules_words(record)}, {text.duration(record['since_set_s'])} after it was set"
    return None


def server_line(record: dict) -> str | None:
    """What a line of metrics.jsonl says of a server that is back; None where it says nothing of one."""
    if record.get("event") != "server_returned":
        return None
    return f"{record['server']} is back after {record['away_s']:.1f} s, with what it had"


def stopped_line(record: dict) -> str | None:
    """What a line of metrics.jsonl says of training that ends before its time; None where it says nothing of that."""
    return record.get("reason") if record.get("event") == "stopped_early" else None


def epoch_line(record: dict) -> str | None:
    """What a line of metrics.jsonl says of an evaluated epoch; None where it says nothing of one."""
    part = evaluated_part(record)
    epoch, accuracy = record.get("epoch"), record.get(f"{part}_accuracy")
    error, trained = record.get(f"{part}_reconstruction"), record.get("train_reconstruction")
    if epoch is not None and error is not None and record.get("event") != "final":  # of a dbn's machine
        line = f"epoch {epoch}: machine {record['machine']}, {part} reconstruction error {error:.4f}"
        return line + (f", in training {trained:.4f}" if trained is not None else "")
    evaluated = accuracy is not None or record.get(f"{part}_loss") is not None
    if epoch is None or not evaluated or record.get("event") == "final":
        return None
    figures = [] if accuracy is None else [f"{part} accuracy {text.percent(accuracy, 2)}"]
    for field, words in ((f"{part}_loss", f"{part} loss"), ("train_loss", "training loss")):
        if record.get(field) is not None:
            figures.append(f"{words} {text.loss(record[field])}")
    return f"epoch {epoch}: {', '.join(figures)}"
