"""What a run promised, from its run directory: its job.toml and the events of its metrics.jsonl."""

import json
import os
import tomllib


def described_by(run_dir):
    """The fields of check_trace.Setting. Rules that changed on the way are in the trace; here are those of the start."""
    with open(os.path.join(run_dir, "job.toml"), "rb") as file:
        job = tomllib.load(file)
    start, last = _ends(os.path.join(run_dir, "metrics.jsonl"))
    try:
        mode = job["consistency"]["mode"]
        return {
            "mode": mode,
            **_promises(mode, job["train"]["batch"]),
            "aggregate": mode == "bsp",
            "workers": job["cluster"]["workers"],
            "slices": start["slices"],
            "leaves": job["train"]["micro_batches"],
            "leased": job["data"]["shards"] == "leased",
            "complete": last["event"] == "final",  # or else it was cut off
            "rate": job["optimizer"]["rate"] if _is_constant(job["optimizer"]["schedule"]) else None,
            "compensated": not _is_synchronous(mode) and job["optimizer"]["compensation"]["name"] != "none",
        }
    except KeyError as error:
        raise ValueError(f"{run_dir}: its job.toml or metrics.jsonl has no {error}") from error


def _ends(path):
    """The line of the start, and the last line that was written whole."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.endswith("\n")]
    start = next((line for line in lines if line["event"] == "start"), None)
    if start is None:
        raise ValueError(f"{path}: training never began")
    return start, lines[-1]


def _is_constant(schedule):
    return schedule["name"] == "constant" and schedule["warmup_epochs"] == 0


def _is_synchronous(mode):
    """No gradient is older than the weights that it is applied to; those of local steps never leave."""
    return mode.partition(":")[0] in ("bsp", "backup", "local")


def _promises(mode, batch):
    if mode.startswith("local:"):
        steps, _, updates = mode.removeprefix("local:").partition("+")
        return {**_bounds(updates or "backup:0"), "local_steps": int(steps), "batch": batch}
    return _bounds(mode)


def _bounds(mode):
    """The bound of a mode, and the lower one where it moves."""
    name, _, numbers = mode.partition(":")
    if name == "dssp":
        low, _, high = numbers.partition("..")
        return {"bound": int(high), "bound_low": int(low)}
    if name == "backup":
        return {"bound": 0, "backups": int(numbers)}
    if name == "softsync":
        return {"bound": -1, "splits": int(numbers)}
    if name == "ssp":
        return {"bound": int(numbers)}
    return {"bound": {"bsp": 0, "asp": -1}[name]}
