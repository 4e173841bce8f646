"""Messages: which one that was sent is which one that was received."""

from collections import defaultdict


def key_of(part, span) -> tuple:
    """The same on both sides: of what kind, whose step it is about, and which slice."""
    whose = part.node if part.role == "worker" else span.peer
    return span.of, whose, span.slice, span.clock


def pairs(parts):
    """(part, span) of the sending with (part, span) of the receiving, for each message that both sides have. Messages
    between two members keep their order, so of several with one key the first sent is the first received."""
    sent, received = defaultdict(list), defaultdict(list)
    for part in parts:
        for span in part.spans:
            if span.what == "sent":
                sent[key_of(part, span)].append((part, span))
            elif span.what == "received" and not part.hands_over(span):
                received[key_of(part, span)].append((part, span))
    for key, sendings in sent.items():
        receivings = received.get(key, [])
        for sending, receiving in zip(sorted(sendings, key=_time), sorted(receivings, key=_time)):
            if sending[0] is not receiving[0]:
                yield sending, receiving


def fastest(parts) -> dict[tuple[str, str], int]:
    """The least time from sending to receiving, by the clocks of the two."""
    least = {}
    for (sender, sending), (receiver, receiving) in pairs(parts):
        if sender.clock != receiver.clock:
            way = sender.clock, receiver.clock
            took = receiving.begin - sending.begin
            least[way] = min(least.get(way, took), took)
    return least


def _time(found) -> int:
    return found[1].begin
