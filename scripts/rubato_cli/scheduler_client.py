"""Speaks HTTP to a job's scheduler, whose address is in RUN/scheduler.json."""

import http.client
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from .failure import Failure

# Loopback answers in milliseconds; a scheduler that does not is stuck or stopped.
TIMEOUT_S = 1.0


class Unreachable(Exception):
    """The scheduler did not answer, or not sensibly."""


class SchedulerClient:
    def __init__(self, address: dict):
        self.endpoint = str(address["endpoint"])
        self.pid = int(address["pid"])
        self.job_id = str(address.get("job_id", ""))
        self._token = str(address.get("token", ""))
        http_address = urlsplit(str(address["http"]))
        self._host, self._port = http_address.hostname, http_address.port

    @staticmethod
    def read(path: Path) -> "SchedulerClient":
        try:
            return SchedulerClient(json.loads(path.read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(f"cannot read the scheduler's address in {path}: {error}") from error

    def is_alive(self) -> bool:
        return process_exists(self.pid)

    def status(self) -> dict:
        return self._request("GET", "/status")

    def tell_exited(self, node: str, return_code: int) -> None:
        self._request("POST", "/exited", {"node": node, "exit_code": return_code})

    def drain(self) -> None:
        self._request("POST", "/drain", {})

    def _request(self, method: str, path: str, body: dict | None = None) -> dict:
        # Not urllib: it would send requests for 127.0.0.1 through the proxy of the environment.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            text = None if body is None else json.dumps(body)
            headers = {"X-Rubato-Token": self._token, "Content-Type": "application/json"}
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 300:
                raise Unreachable(f"the scheduler answered {path} with HTTP {response.status}")
            parsed = json.loads(answer) if answer.strip() else {}
            return parsed if isinstance(parsed, dict) else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"the scheduler does not answer: {error}") from error
        finally:
            connection.close()


def process_exists(pid: int, born_before: float | None = None) -> bool:
    """Whether this process lives; not another that was given its number after `born_before` (seconds since 1970)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except OSError:
        return False
    # Behind the name, which may hold anything in its brackets: field 3 is the state, field 22 the birth in ticks.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return False
    born = int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return born_before is None or born < born_before + 2.0  # btime is rounded
