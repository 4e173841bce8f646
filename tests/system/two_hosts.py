"""Two hosts on one machine: network namespaces with a link between them, as fast as a rate says. For root alone.

A job is started on them by hand, as docs/running.md says: scheduler, servers and evaluator on the first, workers on the
second.
"""

import contextlib
import json
import os
import subprocess
import time
import tomllib
from pathlib import Path

ADDRESSES = ("10.211.0.1", "10.211.0.2")
POLL_S = 0.02
START_S, JOB_S = 60.0, 280.0


class Unavailable(Exception):
    """This machine, or this user, makes no hosts."""


class JobFailed(Exception):
    pass


class TwoHosts:
    def __init__(self, rate: str | None = None):
        """`rate`: of either direction, as tc takes it, for instance 1gbit; without one there is no limit."""
        self.names = [f"rubato-{os.getpid()}-{i}" for i in range(2)]
        self.rate = rate

    def __enter__(self):
        try:
            for name in self.names:
                self._ip("netns", "add", name)
            self._ip("link", "add", "near", "netns", self.names[0], "type", "veth", "peer", "name", "near", "netns", self.names[1])
            for name, address in zip(self.names, ADDRESSES, strict=True):
                self._ip("-n", name, "addr", "add", f"{address}/24", "dev", "near")
                for device in ("lo", "near"):
                    self._ip("-n", name, "link", "set", device, "up")
                if self.rate:
                    self._run("tc", "-n", name, "qdisc", "add", "dev", "near", "root", "tbf", "rate", self.rate, "burst",
                              "256kb", "latency", "400ms")
        except Unavailable:
            self._remove()
            raise
        return self

    def __exit__(self, *_):
        self._remove()

    def _remove(self):
        for name in self.names:
            with contextlib.suppress(Unavailable):
                self._ip("netns", "del", name)

    def _ip(self, *words):
        self._run("ip", *words)

    @staticmethod
    def _run(*words):
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except FileNotFoundError as missing:
            raise Unavailable(str(missing)) from missing
        if done.returncode:
            raise Unavailable(f"{' '.join(words)}: {done.stderr.strip()}")

    def train(self, programs: Path, job: Path, folder: Path, settings: list[str]) -> list[dict]:
        """A job from its start to its end, in `folder`, which is made; its metrics. `programs`: where they were built."""
        resolved = []
        for host, address in enumerate(ADDRESSES):
            run_dir = folder / f"host-{host}"
            run_dir.mkdir(parents=True)
            words = [f"--set={word}" for word in [*settings, "cluster.transport=tcp", f"cluster.bind={address}"]]
            self._say(programs / "rubato-scheduler", "--resolve", job, *words, "--run-dir", run_dir)
            resolved.append(run_dir)
        with contextlib.ExitStack() as members:
            def start(host, program, *words):
                command = ["ip", "netns", "exec", self.names[host], programs / program, "--job", resolved[host] / "job.toml",
                           "--run-dir", resolved[host], *words]
                log = members.enter_context(open(resolved[host] / f"{program}-{len(started)}.log", "w"))
                process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=dict(os.environ, OMP_WAIT_POLICY="passive"))
                members.callback(process.kill)
                started.append((process, Path(log.name)))

            started: list[tuple[subprocess.Popen, Path]] = []
            start(0, "rubato-scheduler")
            endpoint = self._endpoint(resolved[0] / "scheduler.json", started[0])
            cluster = tomllib.loads((resolved[0] / "job.toml").read_text())["cluster"]
            for rank in range(cluster["servers"]):
                start(0, "rubato-server", "--scheduler", endpoint, "--rank", rank)
            for rank in range(cluster["workers"]):
                start(1, "rubato-worker", "--scheduler", endpoint, "--rank", rank)
            start(0, "rubato-worker", "--scheduler", endpoint, "--rank", 0, "--evaluator")
            for process, log in started:
                if process.wait(timeout=JOB_S):
                    raise JobFailed(f"{log.name} ended with exit code {process.returncode}: {log.read_text()[-2000:]}")
        return [json.loads(line) for line in (resolved[0] / "metrics.jsonl").read_text().splitlines()]

    @staticmethod
    def _endpoint(file: Path, scheduler) -> str:
        process, log = scheduler
        end = time.monotonic() + START_S
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                return json.loads(file.read_text())["endpoint"]
            time.sleep(POLL_S)
        raise JobFailed(f"the scheduler does not listen: {log.read_text()[-2000:]}")

    @staticmethod
    def _say(*words):
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
        if done.returncode:
            raise JobFailed(f"{words}: {done.stderr}")
