"""The resolved job file, as far as the launcher needs it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure

TRACED_STEPS = 20  # of --trace


@dataclass(frozen=True)
class Job:
    servers: int
    workers: int
    mode: str
    restarts: int  # of each worker
    is_text: bool  # its classes are bytes
    devices: set[str]  # of servers and workers
    begins: bool  # there are weights to begin with, layers or groups to be checked, or a plan to be made

    @property
    def members(self) -> list[str]:
        """Everybody but the scheduler, in the order in which they are started. The evaluator is always one of
        them: where nothing is evaluated it still writes the final weights."""
        return (
            [f"server-{rank}" for rank in range(self.servers)]
            + [f"worker-{rank}" for rank in range(self.workers)]
            + ["evaluator-0"]
        )

    @staticmethod
    def load(path: Path) -> "Job":
        try:
            tables = tomllib.loads(path.read_text())
            model = tables.get("model", {})
            return Job(
                servers=int(tables["cluster"]["servers"]),
                workers=int(tables["cluster"]["workers"]),
                mode=str(tables["consistency"]["mode"]),
                restarts=int(tables["cluster"]["restarts"]),
                is_text=tables.get("data", {}).get("kind") == "text",
                devices={str(tables.get(role, {}).get("device", "cpu")) for role in ("server", "worker")},
                begins=bool(model.get("pretrained"))
                or model.get("name") == "layers"
                or bool(tables.get("optimizer", {}).get("groups"))
                or tables.get("worker", {}).get("plan", "rule") != "rule",
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(f"cannot read the resolved job {path}: {error!r}", 1) from error


def overrides(arguments) -> list[str]:
    """What was typed to change the job, for the scheduler's program: it checks all of it and blames the option."""
    words = [word for setting in arguments.set for word in ("--set", setting)]
    for option in ("servers", "workers", "mode", "seed"):
        value = getattr(arguments, option)
        if value is not None:
            words.append(f"--{option}={value}")
    if arguments.record:
        words += ["--set", "train.record=true"]
    if arguments.trace:  # first: --set may say another number
        words = ["--set", f"train.timeline={TRACED_STEPS}", *words]
    return words
