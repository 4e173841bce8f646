"""Speaks HTTP to a job's scheduler, whose address is in RUN/scheduler.json."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from .failure import Failure
from .proc import process_exists

# Loopback answers in milliseconds; a scheduler that does not is stuck or stopped.
TIMEOUT_S = 1.0


class Unreachable(Exception):
    """The scheduler did not answer, or not sensibly."""


def refusal_in(answer: bytes) -> Failure | None:
    """What the scheduler has against a request, if it says so with an exit code."""
    try:
        said = json.loads(answer)
        return Failure(said["error"], said["exit_code"])
    except (ValueError, KeyError, TypeError):
        return None


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

    def tell_exited(self, node: str, pid: int, return_code: int, again: bool = False) -> None:
        """`again`: a server that is started again, with what it has left."""
        self._request("POST", "/exited", {"node": node, "pid": pid, "exit_code": return_code, "again": again})

    def drain(self) -> None:
        self._request("POST", "/drain", {})

    def abort(self) -> None:
        self._request("POST", "/abort", {})

    def set(self, changes: str, dry_run: bool) -> dict:
        return self._request("POST", "/set", {"set": changes, "dry_run": dry_run})

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
                raise refusal_in(answer) or Unreachable(f"the scheduler answered {path} with HTTP {response.status}")
            parsed = json.loads(answer) if answer.strip() else {}
            return parsed if isinstance(parsed, dict) else {}
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"the scheduler does not answer: {error}") from error
        finally:
            connection.close()
