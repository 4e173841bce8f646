"""The lines of a trace, as protocol/trace.h lists them, and the runs that they make up.

A line is one JSON object. Lines of one member stand in the order in which it did what they say; nothing is
known about the order of two members, except in a simulated run, where `t` is the one virtual time of all. There
each line also has a "seed", and the lines of a seed stand together.
"""

import json
import os
from collections import defaultdict
from operator import itemgetter
from typing import NamedTuple


class Active(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    life: int


class Inactive(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int


class Tick(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int


class Grant(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    bound: int
    min: int
    epoch: int
    first: int
    count: int
    rule_epoch: int


class Epoch(NamedTuple):
    node: str
    t: int
    number: int
    samples: int


class Rules(NamedTuple):
    node: str
    t: int
    rule_epoch: int
    clock: int
    bound: int
    least: int
    rate: float


class Placed(NamedTuple):
    node: str
    t: int
    slices: int
    placement: int


class Begin(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    level: int
    index: int
    epoch: int
    first: int
    count: int
    leaves: int
    rule_epoch: int
    rate: float


class Use(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    bound: int
    slice: int
    version: int
    floor: int


class Push(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    slice: int
    level: int
    index: int
    samples: int
    rule_epoch: int
    local_steps: int


class Settle(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    slice: int
    level: int
    index: int
    fate: int
    version: int
    age: int
    samples: int
    rule_epoch: int


class Sealed(NamedTuple):
    node: str
    t: int
    worker: int
    life: int
    clock: int
    count: int
    slices: int


class Apply(NamedTuple):
    node: str
    t: int
    clock: int
    slice: int
    version: int


class Repeat(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    slice: int
    level: int
    index: int


class Serve(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    slice: int
    version: int
    floor: int
    snapshot: int
    wanted: int


class Commit(NamedTuple):
    node: str
    t: int
    number: int
    floor: int


class Contributor(NamedTuple):
    node: str
    t: int
    number: int
    worker: int
    clock: int


class Contribution(NamedTuple):
    node: str
    t: int
    number: int
    worker: int
    clock: int
    slice: int
    age: int
    fate: int
    samples: int


class Drop(NamedTuple):
    node: str
    t: int
    worker: int
    clock: int
    slice: int


# Fates of a push, numbered as on the wire.
APPLIED, ACCEPTED, DROPPED, NON_FINITE, EMPTY, FENCED = 1, 2, 3, 4, 5, 6

EVENTS_OF_ROLE = {
    "scheduler": (Active, Inactive, Tick, Grant, Epoch, Rules, Commit, Contributor),
    "server": (Placed, Active, Inactive, Sealed, Settle, Apply, Repeat, Serve, Contribution, Drop),
    "worker": (Placed, Begin, Use, Push),
}


def _shapes():
    """(role, event name) -> what takes a line's numbers out of its JSON object, what they become, and how many are whole:
    all but a rate, which stands last."""
    return {
        (role, shape.__name__.lower()): (itemgetter(*shape._fields[1:]), shape._make,
                                                len(shape._fields) - 1 - ("rate" in shape._fields))
        for role, shapes in EVENTS_OF_ROLE.items()
        for shape in shapes
    }


SHAPES = _shapes()
UNKNOWN_ROLE = "unknown"


class Roles(dict):
    """Role of each node's name; a dictionary, because it is asked for every line."""

    def __missing__(self, node):
        role, dash, rank = node.partition("-")
        known = rank.isdigit() if dash else role == "scheduler"
        self[node] = role if known and role in EVENTS_OF_ROLE else UNKNOWN_ROLE
        return self[node]


def describe(event):
    """An event as the line that it came from (without its seed)."""
    fields = event._asdict()
    head = {"t": fields.pop("t"), "node": fields.pop("node"), "event": type(event).__name__.lower()}
    return json.dumps(head | fields, separators=(",", ":"))


class Run:
    """The logs of one run, and what was found wrong with them."""

    def __init__(self, name, simulated):
        self.name = name
        self.simulated = simulated  # `t` is the same time for all
        self.logs = defaultdict(list)  # node -> events in its order
        self.truncated = set()  # nodes whose last line is torn: killed while writing it
        self.violations = []  # (rule, text, lines)
        self.notes = []
        self.first_placed = None

    def placed(self, event, slices):
        """All members mean the same by a slice."""
        self.first_placed = self.first_placed or event
        if event.slices != slices or event.placement != self.first_placed.placement:
            self.violate("range", f"slices are cut otherwise than for others, or are not {slices}", event,
                         self.first_placed)

    def violate(self, rule, text, *events):
        self.violations.append((rule, text, [describe(event) for event in events]))

    def nodes(self, role):
        """Names of the members of a role, by rank."""
        found = [node for node in self.logs if node.partition("-")[0] == role]
        return sorted(found, key=lambda node: int(node.partition("-")[2] or 0))


class LineReader:
    """Lines to runs. What is wrong with lines is kept until the run that they stand in is handed out."""

    def __init__(self, name):
        self.name = name
        self.roles = Roles()
        self.violations, self.notes, self.truncated = [], [], set()
        self.seeds_seen = set()

    def refuse(self, where, node, line, error):
        if line.endswith("\n"):
            self.violations.append(("line", f"{where}: {type(error).__name__} {error}", [line.rstrip("\n")]))
        else:
            self.notes.append(f"{where}: the last line is torn")
            self.truncated.add(node)

    def start(self, seed, where):
        if seed in self.seeds_seen:
            self.violations.append(("line", f"{where}: the lines of seed {seed} do not stand together", []))
        self.seeds_seen.add(seed)
        return Run(self.name if seed is None else f"{self.name}, seed {seed}", simulated=seed is not None)

    def finish(self, run):
        run.violations, run.notes, run.truncated = self.violations, self.notes, self.truncated
        self.violations, self.notes, self.truncated = [], [], set()
        return run


def read_runs(paths, name):
    """Yields each Run of the files, in their order; never more than one is in memory.

    A line that is none is a violation of rule `line`; a torn last line without its line end is a note.
    """
    reader = LineReader(name)
    decode, roles = json.JSONDecoder().raw_decode, reader.roles
    run, seed = None, None
    for path in paths:
        node = os.path.basename(path).partition(".")[0]  # whose line it is, should the first be torn
        with open(path, encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    fields, end = decode(line)
                    if line[end:] not in ("\n", ""):
                        raise ValueError("more than one object")
                    node = fields["node"]
                    numbers, make, whole = SHAPES[roles[node], fields["event"]]
                    values = numbers(fields)
                    # Cheaper than a look at each.
                    if type(sum(values)) is not int and type(sum(values[:whole])) is not int:
                        raise ValueError("a field that is no integer")
                    line_seed = fields.get("seed")
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    reader.refuse(f"{path}:{number}", node, line, error)
                    continue
                if run is None or line_seed != seed:
                    if run is not None:
                        yield reader.finish(run)
                    run, seed = reader.start(line_seed, f"{path}:{number}"), line_seed
                run.logs[node].append(make((node, *values)))
    if run is not None or reader.violations or reader.notes:
        yield reader.finish(run or Run(name, simulated=False))
