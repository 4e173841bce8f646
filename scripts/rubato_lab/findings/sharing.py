"""Workers that trained on very different numbers of samples."""

from rubato_cli import text

from .finding import Finding, Run

UNEVEN = 1.25


def uneven(run: Run) -> list[Finding]:
    workers = run.metrics.workers
    if len(workers) < 2 or run.setting("data.shards", "static") == "leased":  # that is what leases are for
        return []
    most = max(workers, key=lambda worker: worker["samples"])
    least = min(workers, key=lambda worker: worker["samples"])
    if most["samples"] <= UNEVEN * max(1, least["samples"]):
        return []
    figures = (f"{most['worker']} had {text.count(most['samples'])}, {least['worker']} {text.count(least['samples'])}")
    leaves = run.setting("train.micro_batches", 1)
    if run.kind == "bsp" and leaves % len(workers) != 0:
        advice = (f"train.micro_batches={leaves} does not divide among {len(workers)} workers, and everybody waits for who has "
                  f"most: a power of two of workers, or more micro-batches")
    elif run.backups:
        advice = (f"nothing, if that is wanted: {run.mode} does not need the slowest {run.backups} of each clock, and drops their "
                  f"samples; a mode without backup workers waits for {least['worker']}")
    elif any(run.metrics.all("worker_lost")):
        advice = "what is said above of workers that were lost"
    elif run.was_cut_short:
        advice = f"a whole run: this one was ended before {least['worker']} had done its share"
    else:
        advice = "the lines `worker` of metrics.jsonl, which say what each had after each epoch: a worker may have come late"
    return [Finding("uneven", "workers had very different shares of the samples", figures, advice)]


SHARING = [uneven]
