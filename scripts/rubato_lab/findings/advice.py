"""What to try against waiting: it depends on the mode that waits, and on what there is to be slow: a simulated run has no
hosts, and servers that take no time (docs/simulator.md)."""

from .finding import Run, pace_of

NO_WAITING = ("asp", "softsync")


def for_one_slow(run: Run) -> str:
    local, kind, number = _waiting(run)
    if kind in NO_WAITING:
        return _by_change(run)
    leases = "data.shards=leased gives it fewer samples, " if run.could_lease else ""
    bound = "a larger bound" if kind in ("ssp", "dssp") else "a bound"
    backup = _more_backups(run, local, kind, number)
    others = f", and {backup} goes on without its part" if backup else ""
    return f"if it is always slow, {bound} only delays the wait: {leases}{local}asp does not wait{others}"


def for_waiting(run: Run) -> str:
    local, kind, number = _waiting(run)
    if kind in NO_WAITING:
        return _by_change(run)
    if kind == "ssp":
        return "a larger bound, or dssp, at the price of older gradients"
    if kind == "dssp":
        return "larger bounds, at the price of older gradients"
    bounded = f"{local}ssp:1 to {local}ssp:4 let workers make up for slow steps"
    if kind == "bsp":
        return f"{bounded}; backup:1 does not wait for the last"
    backup = _more_backups(run, local, kind, number)
    more = f"; {backup} waits for one worker fewer, and drops its part" if backup else ""
    steps = "a larger H lets slow steps and quick ones even out; " if local else ""
    return f"{steps}{bounded}{more}"


def cause_of_slowness(run: Run, worker: str) -> str:
    stragglers, said = run.setting("worker.stragglers", "none"), []
    if stragglers != "none":
        said.append(f'worker.stragglers="{stragglers}" makes steps longer than they are')
    elif run.is_simulated:
        said.append(f"nothing but the job makes {worker} slow: simulation.faults, debug.slow_worker_ms, its share of the samples")
    if not run.is_simulated:
        said.append(f"look at what else runs on the host of {worker}")
    return "; ".join(said)


def for_late_evaluator(run: Run, fewer: str) -> str:
    """`fewer`: keys that give it less to do."""
    quicker = "a smaller simulation.evaluation_ms" if run.is_simulated else "a processor for the evaluator"
    return f"{fewer}, or {quicker}"


def logs_of(run: Run, whose: str) -> str:
    return "logs/simulation.log" if run.is_simulated else whose


def for_traffic(run: Run) -> str:
    """Of pushes, pulls and what answers them."""
    fewer = "a larger train.batch makes fewer pushes for the same samples"
    if run.is_crowded:
        return fewer
    if not run.is_simulated:
        return f"the servers or the network do not keep up: more cluster.servers or cluster.shard_threads; {fewer}"
    keys = ("network_us", "network_spread_us", "bandwidth_mb_s")  # no time where they are 0
    said = ", ".join(f"simulation.{key}={value:g}" for key in keys if (value := run.setting(f"simulation.{key}", 0.0)))
    return f"messages take what the job says ({said or 'no time'}), and simulated servers take none: {fewer}"


def for_snapshots(run: Run) -> list[str]:
    """In lockstep a grant may wait for a snapshot to be announced, and then nobody is named whom it waited for before."""
    if run.kind != "backup" or run.setting("evaluation.per_epoch", 0) < 2:
        return []
    return [f"in {run.mode} waits that end with the announcement of a snapshot count here, whoever was slow: a smaller "
            "evaluation.per_epoch tells them apart"]


def _waiting(run: Run) -> tuple[str, str, str]:
    """Of the last mode in which workers wait for each other: `local:8+`, `backup` and `0` of `local:8`."""
    parts = [(_local(mode), *pace_of(mode).partition(":")[::2]) for mode in run.modes]
    return next((part for part in reversed(parts) if part[1] not in NO_WAITING), parts[0])


def _more_backups(run: Run, local: str, kind: str, number: str) -> str:
    """With one more; empty where nobody would be left to wait for."""
    backups = int(number or 0) + 1 if kind == "backup" else 1
    return f"{local}backup:{backups}" if backups < len(run.metrics.workers) else ""


def _local(mode: str) -> str:
    return f"{mode.partition('+')[0]}+" if mode.startswith("local:") else ""


def _by_change(run: Run) -> str:
    return f"{run.mode} lets nobody wait for others but while rules change, or the last samples are dealt"
