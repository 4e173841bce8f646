"""Numbers, times and waits in words. A value that a status lacks shows as a dash."""

MISSING = "-"
DOING_WIDTH = len("waits for clock 1,000 of worker-10 for 10.0 s")  # what `doing` takes, mostly


def count(value) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def fixed(value, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def loss(value) -> str:
    """One that blew up has too many digits to be read."""
    return fixed(value, 4) if value is None or abs(value) < 1e6 else f"{value:.4g}"


def percent(fraction, digits: int = 0) -> str:
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f}%"


def rate(samples_per_s) -> str:
    return MISSING if samples_per_s is None else f"{samples_per_s:,.0f} samples/s"


def size(octets) -> str:
    if octets is None:
        return MISSING
    for unit in ("B", "KiB", "MiB"):
        if octets < 1024:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1024
    return f"{octets:.1f} GiB"


def duration(seconds) -> str:
    """3.2 s, 1:02 min, 2:03:04 h."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02} h"


def plural(number: int, noun: str, ending: str = "s") -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else ending)


def names(nodes) -> str:
    return ", ".join(str(node) for node in nodes or [])


def wait(waiting_for) -> str:
    """`waits for clock 9 of worker-1 for 3.2 s`; empty where nobody is waited for."""
    if not waiting_for:
        return ""
    what = waiting_for.get("what")
    clock, slice_id = waiting_for.get("clock"), waiting_for.get("slice")
    whom = names(waiting_for.get("of"))
    if what == "grant":
        text = f"clock {clock}" if clock is not None else "a grant"
    else:
        text = str(what or "something")
        if slice_id is not None:
            text += f" of slice {slice_id}"
        if clock is not None:
            text += f" at clock {clock}"
    if whom:
        text += f" {'of' if what == 'grant' else 'from'} {whom}"
    since = waiting_for.get("since_s")
    return f"waits for {text}" + (f" for {since:.1f} s" if since is not None else "")


def doing(worker: dict) -> str:
    """Who a worker waits for, and how far it has to go until rules change; empty where there is nothing to say."""
    to_go = worker.get("to_go")
    parts = [wait(worker.get("waiting_for")), f"{plural(to_go, 'clock')} to go" if to_go else ""]
    return ", ".join(part for part in parts if part)


def doing_in_short(worker: dict) -> str:
    """`waits for worker-1`, for narrow terminals."""
    waiting_for = worker.get("waiting_for") or {}
    return f"waits for {names(waiting_for['of'])}" if waiting_for.get("of") else wait(worker.get("waiting_for"))


def shortened(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return text[: max(0, width - 3)] + "..."
