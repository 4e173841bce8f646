"""Where workers' time went when they had nothing to compute."""

from rubato_cli import text

from .finding import Finding, Run

FOR_WORKERS, FOR_WEIGHTS, FOR_REST = 0.15, 0.15, 0.25  # shares of all workers' time that are worth a word
ONE_CULPRIT = 0.5


def for_workers(run: Run) -> list[Finding]:
    """One worker that held the others up, or all of them each other."""
    share = run.share_of_time("wait_workers_s")
    workers = run.metrics.workers
    if share < FOR_WORKERS or len(workers) < 2:
        return []
    total = sum(worker["held_up_s"] for worker in workers)
    slowest = max(workers, key=lambda worker: worker["held_up_s"])
    part = slowest["held_up_s"] / total if total else 0.0
    # Of few workers each has a large part, whoever is slow.
    if part >= max(ONE_CULPRIT, 2.0 / len(workers) if len(workers) > 2 else 0.8):
        static = run.kind in ("ssp", "dssp") and run.setting("data.shards", "static") == "static"
        leases = "data.shards=leased gives it fewer samples, " if static else ""
        return [Finding("one_culprit", f"{slowest['worker']} held the others up",
                        f"{text.percent(part)} of the time that workers waited for each other was for it: "
                        f"{text.duration(slowest['held_up_s'])} of {text.duration(total)}, {text.percent(share)} of all workers' "
                        "time",
                        f"if it is always slow, a bound only delays the wait: {leases}asp does not wait, and backup:1 goes on "
                        "without its part; look at what else runs on its host")]
    if run.kind == "bsp":
        advice = "ssp:1 to ssp:4 let workers make up for slow steps; backup:1 does not wait for the last"
    else:
        advice = "a larger bound, or dssp, at the price of older gradients"
    return [Finding("waiting", "workers waited for each other",
                    f"{text.percent(share)} of all workers' time; no one of them was to blame ({slowest['worker']} was for "
                    f"{text.percent(part)} of it)", advice)]


def for_weights(run: Run) -> list[Finding]:
    share = run.share_of_time("wait_weights_s")
    if share < FOR_WEIGHTS:
        return []
    return [Finding("weights", "workers waited for weights, with a step to compute in hand",
                    f"{text.percent(share)} of all workers' time",
                    "the servers or the network do not keep up: more cluster.servers or cluster.shard_threads, a larger "
                    "train.batch (fewer pushes for the same samples), fewer workers than processors")]


def for_answers(run: Run) -> list[Finding]:
    others = run.share_of_time("wait_workers_s") + run.share_of_time("wait_weights_s")
    share = run.share_of_time("wait_s") - others
    if share < FOR_REST:
        return []
    return [Finding("answers", "workers waited for acknowledgements, and for messages under way",
                    f"{text.percent(share)} of all workers' time",
                    "applying updates takes long against computing them: more cluster.servers, a larger train.batch")]


WAITING = [for_workers, for_weights, for_answers]
