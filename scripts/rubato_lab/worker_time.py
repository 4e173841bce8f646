"""Where workers' time went, from the beginning of training to its end: what they did not compute in, by what for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerTime:
    """Shares of all workers' time. `messages`: acknowledgements and messages under way, so the network and the servers.
    `done_early`: after a worker's last step, with others still at work: with equal shares a quick worker has none left."""

    for_workers: float = 0.0
    for_weights: float = 0.0
    messages: float = 0.0
    done_early: float = 0.0

    @property
    def waited(self) -> float:
        return self.for_workers + self.for_weights + self.messages

    @staticmethod
    def of(workers: list[dict], train_s: float, lost: list[str]) -> "WorkerTime":
        """`workers` as in the last line of metrics.jsonl. The time of one that was lost for good ends with it."""
        early_s = sum(max(0.0, train_s - worker["time_s"]) for worker in workers if worker["worker"] not in lost)
        total_s = early_s + sum(worker["time_s"] for worker in workers)
        if not total_s:
            return WorkerTime()
        waited, for_workers, for_weights = (sum(worker[field] for worker in workers)
                                            for field in ("wait_s", "wait_workers_s", "wait_weights_s"))
        messages = max(0.0, waited - for_workers - for_weights)
        return WorkerTime(for_workers / total_s, for_weights / total_s, messages / total_s, early_s / total_s)
