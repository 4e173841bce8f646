"""The checker of tests/checker on a run that was traced (debug.trace = true)."""

import json
import subprocess
import sys
import tomllib

from run import ROOT, Run

CHECKER = ROOT / "tests" / "checker" / "check_trace.py"


def check(run: Run, complete: bool = True) -> subprocess.CompletedProcess:
    """`complete`: the job came to its end, and was not cut off."""
    job = tomllib.loads((run.run_dir / "job.toml").read_text())
    start = next(line for line in run.metrics() if line["event"] == "start")
    mode = job["consistency"]["mode"]
    described = {"mode": mode, **promises(mode, job["train"]["batch"]), "aggregate": mode == "bsp",
                 "workers": job["cluster"]["workers"], "slices": start["slices"], "leaves": job["train"]["micro_batches"],
                 "leased": job["data"]["shards"] == "leased", "complete": complete,
                 "compensated": not_synchronous(mode) and job["optimizer"]["compensation"]["name"] != "none"}
    description = run.run_dir / "run.json"
    description.write_text(json.dumps(described))
    return subprocess.run([sys.executable, CHECKER, description, run.run_dir / "trace"], capture_output=True, text=True)


def not_synchronous(mode: str) -> bool:
    """Gradients may be older than the weights that they are applied to; those of local steps never leave."""
    return mode.partition(":")[0] not in ("bsp", "backup", "local")


def promises(mode: str, batch: int) -> dict:
    """What the checker is to know of a mode."""
    if mode.startswith("local:"):
        steps, _, updates = mode.removeprefix("local:").partition("+")
        return {**bounds(updates or "backup:0"), "local_steps": int(steps), "batch": batch}
    return bounds(mode)


def bounds(mode: str) -> dict:
    """The bound of a mode, and the lower one where it moves."""
    name, _, numbers = mode.partition(":")
    if name == "dssp":
        low, _, high = numbers.partition("..")
        return {"bound": int(high), "bound_low": int(low)}
    if name == "backup":
        return {"bound": 0, "backups": int(numbers)}
    if name == "softsync":
        return {"bound": -1, "splits": int(numbers)}
    return {"bound": int(numbers) if name == "ssp" else {"bsp": 0, "asp": -1}[name]}
