"""The events of Chrome's trace format
(https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU), which https://ui.perfetto.dev opens.

Processes and threads have numbers there, and names by events of their own. A thread's spans nest, or follow each other.
"""

from bisect import bisect_left

from . import letters
from .parts import LOOP, Part, Span
from .rows import into_rows

# Threads are numbered within their process, beyond the numbers of all processes: Perfetto takes a thread that has its
# process's number for the main one, and puts it above the others.
THREADS_OF_A_PROCESS = 100_000
ROWS_FROM = 100  # of a process's threads, rows that are no threads


class Events:
    def __init__(self, parts: list[Part]):
        self._parts = parts
        self._zero = min((span.begin for part in parts for span in part.spans), default=0)
        self._slices = next((part.slices for part in parts if part.slices), [])
        self._number = {id(part): index + 1 for index, part in enumerate(parts)}
        self.events: list[dict] = []

    def make(self) -> list[dict]:
        for part in self._parts:
            self._name_process(part)
            self._add_spans(part)
        self._add_messages()
        return self.events

    # ---- names

    def _name_process(self, part: Part) -> None:
        self._name(part, 0, "process", part.node)
        for number, lane in enumerate(self._lanes(part)):
            self._name(part, number + 1, "thread", lane)

    def _name(self, part: Part, thread: int, what: str, name: str) -> None:
        where = {"ph": "M", **self._place(part, thread)}
        self.events.append({**where, "name": f"{what}_name", "args": {"name": name}})
        order = thread if what == "thread" else self._number[id(part)]
        self.events.append({**where, "name": f"{what}_sort_index", "args": {"sort_index": order}})

    def _place(self, part: Part, thread: int) -> dict:
        number = self._number[id(part)]
        return {"pid": number, "tid": number * THREADS_OF_A_PROCESS + thread}

    @staticmethod
    def _lanes(part: Part) -> list[str]:
        """Who computes stands above who only sends and receives."""
        return sorted({span.lane for span in part.spans}, key=lambda lane: (lane == LOOP, len(lane), lane))

    def slice_name(self, number: int | None) -> str:
        if number is None:
            return ""
        if number >= len(self._slices):
            return f"slice {number}"
        first, *more = self._slices[number].split()
        return first + (f" and {len(more)} more" if more else "")

    # ---- what threads did

    def _add_spans(self, part: Part) -> None:
        lanes = {lane: number + 1 for number, lane in enumerate(self._lanes(part))}
        sent = sorted((span for span in part.spans if span.what == "sent"), key=lambda span: span.begin)
        for span in part.spans:
            if span.what != "sent":
                name = self._call_name(span, sent) if span.what == "call" else self._name_of(part, span)
                self._complete(part, lanes[span.lane], name, span)

    def _complete(self, part: Part, thread: int, name: str, span: Span) -> None:
        arguments = {"clock": span.clock}
        if span.slice is not None:
            arguments |= {"slice": span.slice, "holds": self.slice_name(span.slice)}
        self.events.append({"ph": "X", **self._place(part, thread), "name": name, "cat": span.what,
                            "ts": self._time(span.begin), "dur": (span.end - span.begin) / 1000, "args": arguments})

    def _name_of(self, part: Part, span: Span) -> str:
        what = self.slice_name(span.slice)
        if span.what == "step":
            return f"step {span.clock}"
        if span.what == "wait":
            return f"wait for the weights of {what}" if span.slice is not None else f"wait for the {span.of or 'end'}"
        if span.what == "copy":
            return f"copy {what}"
        if span.what != "received":
            return f"{span.what} {span.of}".strip()
        if part.hands_over(span):
            return f"hand over {span.of}"
        if span.of == "push":
            return f"{'apply' if span.applied else 'keep'} {what} of {span.peer}"
        if span.of == "commit":
            return f"apply commit of clock {span.clock}"
        if span.of == "tick":
            return f"tick of {span.peer}"
        if span.of == "grant":
            return f"grant of step {span.clock}"
        return f"{span.of} {what}".strip()

    def _call_name(self, span: Span, sent: list[Span]) -> str:
        """What somebody else asked the loop's thread to do is named for what it sent."""
        at = bisect_left(sent, span.begin, key=lambda each: each.begin)
        kinds = [each for each in sent[at:at + 64] if each.begin <= span.end and each.lane == span.lane]
        first = next((each for each in kinds if each.of == "push"), kinds[0] if kinds else None)
        return f"send {first.of} {self.slice_name(first.slice)}".strip() if first else "send"

    # ---- what went from one to the other

    def _add_messages(self) -> None:
        pushes = {}  # by key: sending, receiving
        answers, weights = {}, {}
        for sending, receiving in letters.pairs(self._parts):
            part, span = receiving
            kind, *rest = letters.key_of(part, span)
            key = tuple(rest)
            if kind == "push":
                pushes.setdefault(key, (sending, receiving))
            elif kind == "ack":
                answers.setdefault(key, receiving)
            elif kind == "weights":
                weights.setdefault(key, receiving)
        self._add_pushes_under_way(pushes, answers)
        for number, (key, ((sender, sending), (receiver, receiving))) in enumerate(sorted(pushes.items())):
            whose, slice_number, clock = key
            self._flow("s", number, sender, sending.lane, sending.begin)
            answer = weights.get((whose, slice_number, clock + 1))
            self._flow("t" if answer else "f", number, receiver, receiving.lane, receiving.begin)
            if answer:
                self._flow("f", number, answer[0], answer[1].lane, answer[1].begin)

    def _add_pushes_under_way(self, pushes: dict, answers: dict) -> None:
        """From a push to its acknowledgement, in rows below the worker's threads."""
        for part in self._parts:
            found = [(sending, answers[key][1]) for key, ((sender, sending), _) in sorted(pushes.items())
                     if sender is part and key in answers]
            rows = into_rows([(sending.begin, answer.begin) for sending, answer in found])
            for row in sorted(set(rows)):
                self._name(part, ROWS_FROM + row, "thread", "pushes under way")
            for row, (sending, answer) in zip(rows, found):
                span = Span("", "push", sending.clock, sending.begin, answer.begin, slice=sending.slice)
                self._complete(part, ROWS_FROM + row, f"push {self.slice_name(sending.slice)}", span)

    def _flow(self, phase: str, number: int, part: Part, lane: str, time: int) -> None:
        """An arrow binds to the span around its time."""
        self.events.append({"ph": phase, "id": number, "name": "push to weights", "cat": "flow", "bp": "e",
                            **self._place(part, self._lanes(part).index(lane) + 1), "ts": self._time(time)})

    def _time(self, time: int) -> float:
        return (time - self._zero) / 1000
