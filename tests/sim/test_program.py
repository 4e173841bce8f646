"""rubato-sim as a person runs it: what it leaves, that it leaves the same bytes whatever the machine does meanwhile,
and what it says of jobs that go wrong.

Usage: test_program.py BUILD_DIR
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from dispositions import with_signals  # noqa: E402

CHECKER = ROOT / "tests/checker/check_trace.py"
IMAGES = pathlib.Path("/usr/share/datasets/fashion-mnist")
BUILD = None
PATIENCE_S = 100


def as_options(settings):
    """table__key=value sets a key."""
    return [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


@contextlib.contextmanager
def busy_machine():
    """Programs that compute for nothing, one for each processor."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


class Run:
    def __init__(self, folder, process):
        self.folder, self.code, self.out, self.err = folder, process.returncode, process.stdout, process.stderr

    def bytes(self, name):
        return (self.folder / name).read_bytes()

    def events(self, event):
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    @property
    def final(self):
        return self.events("final")[0]


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rubato-sim-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.runs = 0

    def command(self, job, *words, run_dir=None, **settings):
        self.runs += 1
        self.run_dir = run_dir or self.folder / f"run-{self.runs}"
        return [BUILD / "bin/rubato-sim", ROOT / "jobs" / f"{job}.toml", "--run-dir", self.run_dir, *words,
                *as_options(settings)]

    def simulate(self, job, *words, code=0, **settings):
        process = subprocess.run(self.command(job, *words, **settings), capture_output=True, text=True,
                                 timeout=PATIENCE_S)
        self.assertEqual(process.returncode, code, process.stdout + process.stderr)
        return Run(self.run_dir, process)

    # ---- the same bytes

    def assert_same(self, one, other):
        for name in ("metrics.jsonl", "final.safetensors", "job.toml", "logs/simulation.log"):
            self.assertEqual(one.bytes(name), other.bytes(name), name)

    def check_same_bytes(self, job, *words, **settings):
        alone = self.simulate(job, *words, **settings)
        with busy_machine():
            self.assert_same(alone, self.simulate(job, *words, **settings))
        other = self.simulate(job, *words, "--seed", "8", **settings)
        self.assertNotEqual(alone.bytes("metrics.jsonl"), other.bytes("metrics.jsonl"))

    def test_same_seed_same_bytes_with_everything_that_is_random(self):
        for mode in ("bsp", "ssp:2", "asp"):
            with self.subTest(mode):
                self.check_same_bytes(
                    "quadratic", "--workers", "4", "--mode", mode, "--seed", "7", worker__stragglers="lognormal:0.5",
                    simulation__network_spread_us=100, simulation__loss=0.02, simulation__duplication=0.05,
                    simulation__reordering=0.05, simulation__bandwidth_mb_s=100,
                    cluster__lost_after_s=0.2, simulation__faults="kill worker-3 at 900ms")

    @unittest.skipUnless(IMAGES.exists(), "no Fashion-MNIST here")
    def test_same_seed_same_bytes_on_a_real_network(self):
        self.check_same_bytes("fashion_mlp", "--workers", "32", "--mode", "ssp:4", "--seed", "7", train__steps=3,
                              model__hidden="[128]", optimizer__rate=0.001, worker__stragglers="pauses:0.2,3")

    @unittest.skipUnless(IMAGES.exists(), "no Fashion-MNIST here")
    def test_a_job_that_diverges_comes_to_its_end(self):
        """Its training loss is no number any more when an evaluation tells of one."""
        run = self.simulate("fashion_mlp", "--workers", "2", "--mode", "asp", model__hidden="[8]", optimizer__rate=50,
                            train__batch=500, train__epochs=1, evaluation__per_epoch=20, simulation__evaluation_ms=200)
        self.assertTrue(any(line["test_loss"] is not None and line["train_loss"] is None
                            for line in run.events("evaluation")))
        self.assertIn("warning: it diverged: ", run.out)
        self.assertNotIn("-nan", run.out)

    # ---- virtual time

    def test_bsp_goes_at_the_pace_of_the_straggler(self):
        pace = dict(train__steps=20, simulation__step_ms=10, simulation__step_fixed=1)
        times = {stragglers: self.simulate("quadratic", "--mode", "bsp", "--workers", "4",
                                           worker__stragglers=stragglers, **pace).final["train_s"]
                 for stragglers in ("none", "persistent:4x")}
        self.assertAlmostEqual(times["none"], 0.2, delta=0.02)
        self.assertAlmostEqual(times["persistent:4x"], 0.8, delta=0.02)

    def test_fewer_samples_take_less_but_for_the_fixed_part(self):
        def train_s(workers):
            return self.simulate("quadratic", "--mode", "bsp", "--workers", str(workers), train__steps=10,
                                 simulation__step_ms=100, simulation__step_fixed=0.2).final["train_s"]

        self.assertAlmostEqual(train_s(1), 1.0, delta=0.01)
        self.assertAlmostEqual(train_s(4), 0.4, delta=0.01)

    def test_a_trace_gives_each_step_its_time(self):
        trace = self.folder / "trace.csv"
        trace.write_text("# worker,step_ms\n0,10\n0,30\n1,1\n")
        run = self.simulate("quadratic", "--mode", "bsp", "--workers", "2", train__steps=10,
                            worker__stragglers=f"trace:{trace}")
        self.assertAlmostEqual(run.final["train_s"], 0.2, delta=0.01)

    def test_steps_of_a_real_run_are_a_trace(self):
        real = self.folder / "real"
        subprocess.run([ROOT / "scripts/rubato", "train", ROOT / "jobs/quadratic.toml", "--build-dir", BUILD, "--run-dir",
                        real, "--workers", "2", *as_options(dict(train__steps=20, debug__slow_worker_ms=10))],
                       check=True, capture_output=True, timeout=PATIENCE_S)
        trace = self.folder / "trace.csv"
        trace.write_text("".join(path.read_text() for path in sorted((real / "steps").glob("*.csv"))))
        lines = [line.split(",") for line in trace.read_text().splitlines()]
        self.assertEqual([worker for worker, _ in lines], ["0"] * 20 + ["1"] * 20)
        slow = sum(float(ms) for worker, ms in lines if worker == "0")
        self.assertGreater(slow, 200)
        run = self.simulate("quadratic", "--workers", "2", "--mode", "asp", train__steps=20,
                            worker__stragglers=f"trace:{trace}")
        self.assertAlmostEqual(run.final["train_s"], slow / 1000, delta=0.05)

    def test_slow_network(self):
        run = self.simulate("quadratic", "--mode", "bsp", train__steps=10, simulation__network_us=5000,
                            simulation__step_ms=1)
        self.assertGreater(run.final["train_s"], 10 * 4 * 0.005)  # push, acknowledgement, tick, grant

    # ---- faults

    def test_a_killed_worker_is_named_and_the_job_goes_on(self):
        run = self.simulate("quadratic", "--workers", "3", "--mode", "ssp:2",
                            simulation__faults="kill worker-1 at 100ms")
        self.assertEqual([lost["worker"] for lost in run.events("worker_lost")], ["worker-1"])
        self.assertIn("worker-1", run.out)
        self.assertIn("worker-1", (run.folder / "logs/simulation.log").read_text())

    def test_pauses_cuts_and_a_drain(self):
        faults = '["pause worker-1 at 50ms for 200ms", "cut worker-0 server-0 at 60ms for 100ms", "drain at 1s"]'
        run = self.simulate("quadratic", "--workers", "2", code=130, train__epochs=100, simulation__faults=faults)
        self.assertEqual(run.events("worker_lost"), [])
        self.assertIn("drained after", run.out)

    def test_a_killed_server_ends_the_job(self):
        run = self.simulate("quadratic", code=5, simulation__faults="kill server-0 at 100ms")
        self.assertIn("server-0", run.err)
        self.assertEqual(run.events("failed")[0]["exit_code"], 5)

    def test_promises_are_kept(self):
        run = self.simulate("quadratic", "--workers", "4", "--mode", "ssp:2", debug__trace="true",
                            worker__stragglers="pareto:1.5", simulation__loss=0.02,
                            simulation__faults="kill worker-2 at 300ms")
        subprocess.run([sys.executable, CHECKER, run.folder], check=True, timeout=PATIENCE_S)

    # ---- what it says

    def test_the_end_says_what_came_out_and_where(self):
        run = self.simulate("quadratic", "--profile")
        for words in ("ssp:3, 2 servers, 2 workers, simulated", "epoch 1: test loss", "of virtual time, in ",
                      "final.safetensors", "metrics.jsonl", "cores, network and bookkeeping"):
            self.assertIn(words, run.out)
        self.assertEqual(run.err, "")
        self.assertNotIn("\x1b", run.out)

    def test_the_end_says_that_gradients_were_dropped(self):
        run = self.simulate("quadratic", debug__nonfinite_at=5)
        last = run.out[run.out.index("of virtual time, in "):]
        self.assertIn("warning: 1 gradient of slices was not finite and dropped, that of w at clock 5 of worker-0, after ", last)

    def test_wrong_jobs_are_refused_as_everywhere(self):
        for words, code, said in (
                (["--mode", "sync"], 2, "--mode: consistency.mode = \"sync\""),
                (["--set", "simulation.lss=0.1"], 2, "did you mean \"simulation.loss\"?"),
                (["--set", "worker.stragglers=lognorml:1"], 2, "did you mean \"lognormal\"?"),
                (["--set", "simulation.faults=kill worker-9 at 3s"], 2, "there is no process worker-9"),
                (["--set", "worker.stragglers=trace:/nowhere"], 3, "the trace /nowhere: No such file"),
                (["--worker", "3"], 2, "--worker"),
        ):
            with self.subTest(words):
                run = self.simulate("quadratic", *words, code=code)
                self.assertIn(said, run.err)
                self.assertEqual(len(run.err.splitlines()), 1, run.err)

    def test_only_a_run_can_be_replayed(self):
        (self.folder / "empty").mkdir()
        for run, said in (("/nowhere", "/nowhere: no such folder"), (self.folder / "empty", "there is no job.toml in it"),
                          (ROOT / "jobs/quadratic.toml", "is no folder")):
            done = subprocess.run([self.command("quadratic")[0], "--replay", run], capture_output=True, text=True,
                                  timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(said, done.stderr)
            self.assertIn("name the folder of a run that was recorded", done.stderr)
            self.assertNotIn("jobs/ holds examples", done.stderr)

    def test_a_run_directory_in_use_is_left_alone(self):
        (self.folder / "kept").mkdir()
        (self.folder / "kept/file").write_text("mine")
        run = self.simulate("quadratic", run_dir=self.folder / "kept", code=2)
        self.assertIn("is not empty", run.err)
        self.assertEqual(sorted(path.name for path in run.folder.iterdir()), ["file"])

    def start_long_run(self, ignored=()):
        process = subprocess.Popen(self.command("quadratic", train__epochs=100_000), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, preexec_fn=with_signals(ignored))
        self.addCleanup(process.kill)
        deadline = time.monotonic() + PATIENCE_S
        metrics = self.run_dir / "metrics.jsonl"
        while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size > 0):
            time.sleep(0.05)
        return process

    def test_ctrl_c_drains(self):
        process = self.start_long_run()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 130, out + err)
        self.assertIn("interrupted: what was granted is finished", out)
        self.assertEqual(err, "")
        self.assertTrue((self.run_dir / "final.safetensors").exists())

    def test_behind_a_script_s_ampersand_ctrl_c_is_for_others(self):
        process = self.start_long_run(ignored=[signal.SIGINT])
        process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        self.assertIsNone(process.poll())
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 130, out + err)

    def test_the_launcher_knows_it(self):
        command = [ROOT / "scripts/rubato", "simulate", *self.command("quadratic", "--workers", "3")[1:], "--build-dir",
                   BUILD]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 workers, simulated", done.stdout)
        told = subprocess.run([ROOT / "scripts/rubato", "simulate", "--build-dir", BUILD, "--help"], capture_output=True,
                              text=True, timeout=PATIENCE_S)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("virtual time", told.stdout)


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
