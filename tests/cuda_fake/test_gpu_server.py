"""Jobs whose servers update on a GPU, which is a fake: the weights are those of the CPU, also where a server dies.

The programs of the build folder, but for those in fake_gpu/bin, which are linked with the fake (CMakeLists.txt)."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from system_case import SystemCase, main  # noqa: E402

# Small, since a fake is slow; some seconds long where a server is to die.
GPU = {"server__device": "cuda:0"}
SHORT = {"train__steps": 40}
LONG = {"train__steps": 300, "debug__slow_worker_ms": 5}
DEVICE = 7


class GpuServer(SystemCase):
    def setUp(self):
        """A folder with all programs, of which some are others."""
        super().setUp()
        programs = self.folder / "build" / "bin"
        programs.mkdir(parents=True)
        for folder in (self.build / "fake_gpu" / "bin", self.build / "bin"):
            for program in folder.glob("rubato-*"):
                if not (programs / program.name).exists():
                    (programs / program.name).symlink_to(program)
        self.build = programs.parent

    def assert_equal_weights(self, *words, **settings):
        cpu = self.train("quadratic", *words, **settings)
        gpu = self.train("quadratic", *words, **settings, **GPU)
        self.assertIn("updates are computed on cuda:0, fake", gpu.log("server-0"))
        self.assertNotIn("updates are computed on", cpu.log("server-0"))
        self.assertEqual(gpu.final()["weights_sha256"], cpu.final()["weights_sha256"])
        return gpu

    def test_bsp_has_the_cpus_weights(self):
        run = self.assert_equal_weights("--mode", "bsp", optimizer__name="adam", optimizer__rate=0.01,
                                        evaluation__average=0.9, **SHORT)
        self.assertIn("memory of GPUs: slices of servers", run.output)

    def test_commits_have_the_cpus_weights(self):
        self.assert_equal_weights("--mode", "backup:0", optimizer__name="momentum", **SHORT)

    def test_one_worker_in_step_has_the_cpus_weights(self):
        self.assert_equal_weights("--mode", "ssp:0", cluster__workers=1, optimizer__name="adamw",
                                  optimizer__compensation__name="adaptive", **SHORT)

    def test_a_server_that_is_killed_comes_back_with_what_it_had(self):
        settings = {"optimizer__name": "adam", "optimizer__rate": 0.01, **LONG}
        whole = self.train("quadratic", "--mode", "bsp", **settings)
        run = self.start("quadratic", "--mode", "bsp", **settings, **GPU)
        for clock in (20, 120):
            run.wait_for_clock("worker-1", clock)
            run.kill("server-0")
            run.wait_until(lambda: len(returned(run)) >= (1 if clock == 20 else 2), "server-0 to return", 10.0)
        self.assert_ends(run, 0)
        self.assertEqual(run.final()["weights_sha256"], whole.final()["weights_sha256"])

    def test_a_gpu_that_is_not_there(self):
        """One line, before anything starts."""
        run = self.start("quadratic", server__device="cuda:3")
        self.assert_one_error(run, DEVICE, "server.device = \"cuda:3\"", "there is no GPU 3", "\"cpu\"")
        self.assertFalse((run.run_dir / "logs").exists(), "nobody was started")


def returned(run):
    return [line for line in run.metrics() if line["event"] == "server_returned"]


if __name__ == "__main__":
    main()
