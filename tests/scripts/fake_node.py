"""Stands for Rubato's programs in the launcher's tests. Usage: fake_node.py PROGRAM [ARGUMENT...]

What it pretends is told by the [fake] table of the job file, set with --set fake.KEY=VALUE:
  duration_s        how long the training takes
  job_exit          the job's exit code
  note              what a person should know of the job
  memory            what is printed of the memory that the job will take
  final             JSON: what the last line of metrics.jsonl says too, or instead
  silent            the scheduler never listens
  stuck             the scheduler does not end when a server is lost, nor when drained
  NODE_exit         that node, for instance worker_1, ends with this code (a negative one is a signal) ...
  NODE_after_s      ... so long after its start, having logged
  NODE_says         ... this error
  deaf              members ignore SIGTERM, and that the scheduler has gone
Each process leaves RUN/fake/NODE.json about itself; the scheduler, RUN/fake/requests.jsonl.
"""

import json
import os
import select
import signal
import sys
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TICK_S = 0.02
TOKEN = "cafe"
JOB_ID = "0123456789abcdef"


def options(words):
    """--key value and --flag, as a dict; --set may be repeated."""
    found = {"set": []}
    while words:
        key, given, value = words.pop(0).removeprefix("--").partition("=")
        if not given:
            value = words.pop(0) if words and not words[0].startswith("--") else True
        if key == "set":
            found["set"].append(value)
        else:
            found[key] = value
    return found


def log(node, level, text):
    now = time.time()
    stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1000):03}"
    print(f"{stamp} {node} {level}: {text}", file=sys.stderr, flush=True)


def resolve(found):
    tables = {
        "cluster": {"servers": 1, "workers": 1, "restarts": 0},
        "consistency": {"mode": "bsp"},
        "train": {},
        "fake": {},
    }
    try:
        for name, table in tomllib.loads(Path(found["resolve"]).read_text()).items():
            tables.setdefault(name, {}).update(table)
    except OSError as error:
        log("scheduler", "error", str(error))
        return 2
    shorthands = {"servers": "cluster.servers", "workers": "cluster.workers", "mode": "consistency.mode",
                  "seed": "train.seed"}
    typed = [f"{key}={found[option]}" for option, key in shorthands.items() if option in found]
    for setting in found["set"] + typed:
        key, value = setting.split("=", 1)
        table, name = key.split(".")
        if table not in tables:
            log("scheduler", "error", f"unknown table {table}; the nearest is cluster")
            return 2
        tables[table][name] = parse_value(value)
    text = "".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    (Path(found["run-dir"]) / "job.toml").write_text(text)
    if tables["fake"].get("note"):
        print(tables["fake"]["note"])
    return 0


def parse_value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


class Node:
    """What every process does: leaves a note, minds the lifeline, ends when it is told to."""

    def __init__(self, name, found):
        self.name = name
        self.run_dir = Path(found["run-dir"])
        self.job = tomllib.loads(Path(found["job"]).read_text())
        self.fake = self.job["fake"]
        self.started = time.monotonic()
        self.lifeline = int(found["lifeline"])
        (self.run_dir / "fake").mkdir(exist_ok=True)
        note = {"pid": os.getpid(), "sid": os.getsid(0), "arguments": sys.argv[2:]}
        note |= {key: os.environ.get(key) for key in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
        write_whole(self.run_dir / "fake" / f"{name}.json", note)

    def age(self):
        return time.monotonic() - self.started

    def told(self, key, default=None):
        return self.fake.get(f"{self.name.replace('-', '_')}_{key}", default)

    def tick(self):
        if select.select([self.lifeline], [], [], TICK_S)[0] and os.read(self.lifeline, 1) == b"":
            sys.exit(5)
        if self.told("exit") is not None and self.age() > self.told("after_s", 0.2):
            if self.told("says"):
                log(self.name, "error", self.told("says"))
            if self.told("exit") < 0:
                os.kill(os.getpid(), -self.told("exit"))
            sys.exit(self.told("exit"))


def write_whole(path, value):
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value))
    temporary.rename(path)


class Scheduler(Node):
    def __init__(self, found):
        super().__init__("scheduler", found)
        self.state = "training"
        self.lost_server = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.server.block_on_close = False
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self):
        while self.fake.get("silent"):
            self.tick()
        http = f"http://127.0.0.1:{self.server.server_port}"
        address = {"http": http, "pid": os.getpid(), "job_id": JOB_ID, "token": TOKEN}
        write_whole(self.run_dir / "scheduler.json", {"endpoint": "ipc:///nowhere", **address})
        listed = Path(os.environ["XDG_RUNTIME_DIR"]) / "rubato" / f"{os.getpid()}.json"
        listed.parent.mkdir(exist_ok=True)
        write_whole(listed, {"run_dir": str(self.run_dir), "started": time.time(), **address})
        duration = self.fake.get("duration_s", 0.6)
        while self.fake.get("stuck") or (self.age() < duration and self.state == "training" and not self.lost_server):
            self.tick()
        listed.unlink()
        if self.lost_server:
            log(self.name, "error", "server-0 is lost")
            return 5
        return self.finish()

    def finish(self):
        code = self.fake.get("job_exit", 130 if self.state == "draining" else 0)
        if code in (0, 130):
            (self.run_dir / "evaluation.txt").write_text("accuracy  0.9123\n")
            (self.run_dir / "final.safetensors").write_text("weights")
            records = [
                {"event": "epoch", "epoch": 1, "test_accuracy": 0.8765, "test_loss": 0.31, "train_loss": 0.4},
                {"event": "final", "epoch": 2, "test_accuracy": 0.9123, "samples_per_s": 4321.0,
                 **json.loads(self.fake.get("final", "{}"))},
            ]
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (self.run_dir / "metrics.jsonl").write_text(lines)
        return code

    def status(self):
        done = min(1.0, self.age() / self.fake.get("duration_s", 0.6))
        workers = self.job["cluster"]["workers"]
        waiting = {"what": "grant", "clock": 9, "of": ["worker-1"], "slice": None, "since_s": 3.2}
        return {
            "run_dir": str(self.run_dir), "job_id": JOB_ID, "mode": self.job["consistency"]["mode"],
            "state": self.state, "elapsed_s": self.age(), "epoch": 1 + int(done * 1.99), "epochs": 2,
            "samples_done": int(done * 120000), "samples_total": 120000, "samples_per_s": 4000.0,
            "train_loss": 0.5 - 0.3 * done, "test_accuracy": None if done < 0.5 else 0.87, "eta_s": 60 * (1 - done),
            "workers": [
                {"node": f"worker-{rank}", "pid": 100 + rank, "clock": 9 - rank, "staleness": 1 - rank % 2,
                 "lead": 1, "samples_per_s": 2000.0, "age_mean": 0.5, "step_ms": None,
                 "state": "computing" if rank else "waiting", "waiting_for": None if rank else waiting}
                for rank in range(workers)
            ],
            "servers": [{"node": "server-0", "state": "serving", "slices": 12, "bytes": 4 << 20,
                         "version_min": 17, "version_max": 18, "pushes": 12345}],
            "evaluator": None,
            "events": [{"id": 1, "time_s": 0.1, "level": "info", "text": "everybody is here"}],
        }

    def obey(self, path, body):
        with open(self.run_dir / "fake" / "requests.jsonl", "a") as file:
            file.write(json.dumps({"path": path, "body": body, "time": time.time()}) + "\n")
        if path == "/drain":
            self.state = "draining"
        if path == "/exited" and body["node"].startswith("server") and body["exit_code"] != 0:
            self.lost_server = True

    def handler(self):
        scheduler = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, value):
                allowed = self.headers["X-Rubato-Token"] == TOKEN
                data = json.dumps(value if allowed else {}).encode()
                self.send_response(200 if allowed else 403)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                self.answer(scheduler.status())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                scheduler.obey(self.path, body)
                self.answer({})

            def log_message(self, *_):
                pass

        return Handler


def run_member(node):
    if node.fake.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    scheduler = json.loads((node.run_dir / "scheduler.json").read_text())["pid"]
    while node.fake.get("deaf") or Path(f"/proc/{scheduler}").exists():
        node.tick()
    if (node.run_dir / "final.safetensors").exists():
        return 0
    log(node.name, "error", "the scheduler has gone")
    return 5


def main():
    program, found = sys.argv[1], options(sys.argv[2:])
    if "resolve" in found:
        return resolve(found)
    if "memory" in found:
        said = tomllib.loads(Path(found["memory"]).read_text()).get("fake", {}).get("memory")
        print(said or "", end="")
        return 0 if said is not None else 3
    if program == "rubato-scheduler":
        return Scheduler(found).run()
    role = "evaluator" if "evaluator" in found else program.removeprefix("rubato-")
    return run_member(Node(f"{role}-{found['rank']}", found))


sys.exit(main())
