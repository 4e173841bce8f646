"""Which exit code a job ends with, and which process is to blame."""

from dataclasses import dataclass

from .failure import ExitCode, exit_code_of

# Codes that say only that somebody else failed, or that the job can do without the process.
SECONDARY = {int(ExitCode.OK), int(ExitCode.PEER_LOST), int(ExitCode.EVICTED)}


@dataclass(frozen=True)
class End:
    """How one process ended; a negative return code is a signal. `last_words` is the last error it logged. `killed`:
    why the launcher killed it, which it does to a scheduler only where that cannot end the job; members that it killed
    are no part of this."""

    node: str
    return_code: int
    last_words: str = ""
    killed: str = ""


@dataclass(frozen=True)
class Verdict:
    code: int
    blamed: End | None


def decide(ends: list[End]) -> Verdict:
    """`ends` in the order in which they happened.

    The scheduler's code counts: 0 also where a worker died and the others finished. Where all it can say is that a
    peer was lost, that peer's own end may say more.
    """
    scheduler = next((end for end in ends if end.node == "scheduler"), None)
    code = exit_code_of(scheduler.return_code) if scheduler else int(ExitCode.PEER_LOST)
    if code == ExitCode.OK:
        return Verdict(code, None)
    if code not in SECONDARY:
        return Verdict(code, _first_to_know(ends, scheduler))
    blamed = _lost_peer(ends, scheduler)
    return Verdict(exit_code_of(blamed.return_code) if blamed else code, blamed)


def _lost_peer(ends: list[End], scheduler: End | None) -> End | None:
    telling = [end for end in ends if end is not scheduler and end.return_code not in SECONDARY]
    # A job outlives workers, but no server.
    killed_server = next((end for end in telling if end.return_code < 0 and end.node.startswith("server-")), None)
    words = scheduler.last_words if scheduler else ""
    named = next((end for end in telling if words.startswith((f"{end.node} ", f"{end.node}: "))), None)
    if killed_server or named:
        return killed_server or named
    # It was lost itself; or it names one that was silent, whose end came later and tells nothing.
    if scheduler and (words or scheduler.return_code < 0):
        return scheduler
    return next(iter(telling), next((end for end in ends if end.return_code != 0), None))


def _first_to_know(ends: list[End], scheduler: End) -> End:
    """Where a member fails by itself, the scheduler ends with the member's code and can only say that it has gone;
    the reason is in the member's own words. Members that the scheduler has told to end repeat its words."""
    told = ("", scheduler.last_words)
    return next((end for end in ends if end.return_code == scheduler.return_code and end.last_words not in told),
                scheduler)
