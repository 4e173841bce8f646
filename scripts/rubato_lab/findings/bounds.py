"""Bounds that do nothing.

A worker is granted one step ahead of the one in hand (kGrantAhead, scheduler/policy.h), so the greatest staleness of a
grant, which is what metrics.jsonl has, may be reached by grants that nobody waited for: that a bound was reached does
not show that it bound. What shows it is whether somebody waited. And of a greatest staleness of s, granted while the step
before was in hand, it is known that a step began s - 1 clocks ahead of the slowest worker.
"""

from .finding import Finding, Run


def loose_bound(run: Run) -> list[Finding]:
    bounds, reached = _bounds(run.pace), run.final.get("staleness_max")
    if bounds is None or reached is None or len(run.modes) > 1:
        return []
    least, most = bounds
    # Of what is granted late, the staleness is that of the bound; a death moves the slowest by more than a clock.
    never_late = reached < least and not any(run.metrics.all("worker_lost"))
    if not never_late and run.metrics.waited_for_workers_s != 0:
        return []
    if len(run.metrics.workers) == 1:
        return [Finding("bound_never_binds", "the bound never held anybody back", f"{run.mode} with one worker",
                        "nothing: one worker has nobody to run ahead of, so no bound holds it back")]
    figures = f"{run.mode} allows a staleness of {most}, and " + (
        f"no step had more than {reached}" if reached < most else
        "though steps were granted ahead up to it, no worker waited for another")
    what = "the bound never held anybody back" if never_late else "nobody waited for the bound"
    return [Finding("bound_never_binds", what, figures, _advice(run, reached, never_late))]


def _advice(run: Run, reached: int, never_late: bool) -> str:
    said = ["a larger bound has no wait to save"]
    if run.setting("data.shards", "static") == "leased":  # asp sizes no leases by speed: another run, bound or not
        said.append("asp is not the same with leases, which only bounded modes size by speed")
    elif never_late:
        said = ["it ran as " + (run.mode.partition("+")[0] + "+asp" if run.is_local else "asp") + " would"]
    if reached >= 2:
        ahead = reached - 1
        clocks = "a clock" if ahead == 1 else f"{ahead} clocks"
        said.append(f"steps began up to {clocks} ahead of the slowest worker, so a bound below {ahead} would do something")
    return "; ".join(said)


def _bounds(mode: str) -> tuple[int, int] | None:
    """The bound of ssp:S, or the least and the greatest of dssp:LO..HI, within which nobody is ever held; none for other
    modes, and none to speak of for 0."""
    kind, _, numbers = mode.partition(":")
    if kind not in ("ssp", "dssp"):
        return None
    try:
        low, _, high = numbers.rpartition("..")
        return (int(low or high), int(high)) if int(high) else None
    except ValueError:
        return None


BOUNDS = [loose_bound]
