"""Where workers' time went when they had nothing to compute; worker_time.py has its parts."""

from rubato_cli import text

from ..processors import processes
from . import advice
from .finding import Finding, Run

FOR_WORKERS, FOR_WEIGHTS, FOR_REST, EARLY, CROWDED = 0.15, 0.15, 0.25, 0.15, 0.15  # shares of time that are worth a word
ONE_CULPRIT = 0.5


def crowded(run: Run) -> list[Finding]:
    """Comes first: what else is said of waiting may be of its making."""
    if not run.is_crowded or run.time.waited < CROWDED:
        return []
    return [Finding("processors", "there were more processes than processors, so they waited for their turns",
                    f"{processes(run.job)} workers and servers on the {run.processors} processors of this machine; workers "
                    f"waited {text.percent(run.time.waited)} of their time",
                    "fewer workers and servers; rubato-sim shows the same job with a processor for each. How long anything "
                    "took here says little about the mode")]


def for_workers(run: Run) -> list[Finding]:
    """One worker that held the others up, or all of them each other."""
    share = run.time.for_workers
    workers = run.metrics.workers
    if share < FOR_WORKERS or len(workers) < 2:
        return []
    total = sum(worker["held_up_s"] for worker in workers)
    slowest = max(workers, key=lambda worker: worker["held_up_s"])
    part = slowest["held_up_s"] / total if total else 0.0
    # Of few workers each has a large part, whoever is slow.
    if part >= max(ONE_CULPRIT, 2.0 / len(workers) if len(workers) > 2 else 0.8):
        return [Finding("one_culprit", f"{slowest['worker']} held the others up",
                        f"{text.percent(part)} of the time that workers waited for each other was for it: "
                        f"{text.duration(slowest['held_up_s'])} of {text.duration(total)}, {text.percent(share)} of all workers' "
                        "time", f"{advice.for_one_slow(run)}; {advice.cause_of_slowness(run, slowest['worker'])}")]
    return [Finding("waiting", "workers waited for each other",
                    f"{text.percent(share)} of all workers' time; no one of them was to blame ({slowest['worker']} was for "
                    f"{text.percent(part)} of it)", advice.for_waiting(run))]


def for_weights(run: Run) -> list[Finding]:
    if run.time.for_weights < FOR_WEIGHTS:
        return []
    return [Finding("weights", "workers waited for weights, with a step to compute in hand",
                    f"{text.percent(run.time.for_weights)} of all workers' time", advice.for_traffic(run))]


def for_answers(run: Run) -> list[Finding]:
    if run.time.messages < FOR_REST:
        return []
    return [Finding("answers", "workers waited for acknowledgements, and for messages under way",
                    f"{text.percent(run.time.messages)} of all workers' time",
                    "; ".join([advice.for_traffic(run), *advice.for_snapshots(run)]))]


def done_early(run: Run) -> list[Finding]:
    """No wait for anybody: a worker that has done its share is idle until the slowest has done its own."""
    if run.time.done_early < EARLY:
        return []
    staying = [worker for worker in run.metrics.workers if worker["worker"] not in run.metrics.lost_for_good]
    first, last = (pick(staying, key=lambda worker: worker["time_s"]) for pick in (min, max))
    what_to_do = "data.shards=leased deals samples by speed, so that all are done together" if run.could_lease else \
        advice.cause_of_slowness(run, last["worker"])
    return [Finding("done_early", "workers had done their share long before the last, and were idle from then on",
                    f"{text.percent(run.time.done_early)} of all workers' time: {first['worker']} was done after "
                    f"{text.duration(first['time_s'])}, {last['worker']} after {text.duration(last['time_s'])}", what_to_do)]


WAITING = [crowded, for_workers, for_weights, for_answers, done_early]
