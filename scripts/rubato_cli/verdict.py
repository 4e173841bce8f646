"""Which exit code a job ends with, and which process is to blame."""

from dataclasses import dataclass

from .failure import ExitCode, exit_code_of

# Codes that say only that somebody else failed, or that the job can do without the process.
SECONDARY = {int(ExitCode.OK), int(ExitCode.PEER_LOST), int(ExitCode.EVICTED)}


@dataclass(frozen=True)
class End:
    """How one process ended; a negative return code is a signal. `last_words` is the last error it logged."""

    node: str
    return_code: int
    last_words: str = ""


@dataclass(frozen=True)
class Verdict:
    code: int
    blamed: End | None


def decide(ends: list[End]) -> Verdict:
    """`ends` in the order in which they happened.

    The scheduler's code counts: 0 also where a worker died and the others finished. Where all it can
    say is that a peer was lost (or it was itself killed, or never ended), the first process that knows
    more is the cause.
    """
    scheduler = next((end for end in ends if end.node == "scheduler"), None)
    code = exit_code_of(scheduler.return_code) if scheduler else int(ExitCode.PEER_LOST)
    if code == ExitCode.OK:
        return Verdict(code, None)
    if code not in SECONDARY:
        return Verdict(code, _first_to_know(ends, scheduler))
    for end in ends:
        if exit_code_of(end.return_code) not in SECONDARY:
            return Verdict(exit_code_of(end.return_code), end)
    # Everybody only lost somebody. A job outlives a worker, so a server that was killed comes first.
    failed = [end for end in ends if end.return_code != 0]
    killed_servers = [end for end in failed if end.return_code < 0 and end.node.startswith("server-")]
    return Verdict(code, next(iter(killed_servers or failed), None))


def _first_to_know(ends: list[End], scheduler: End) -> End:
    """Where a member fails by itself, the scheduler ends with the member's code and can only say that it has gone;
    the reason is in the member's own words. Members that the scheduler has told to end repeat its words."""
    told = ("", scheduler.last_words)
    return next((end for end in ends if end.return_code == scheduler.return_code and end.last_words not in told),
                scheduler)
