"""Real jobs that evaluate a moving average of the weights: what it is, for any number of workers, through the death of a
server, in a replay, and what people are told."""

import struct
import subprocess

import safetensors_file
from images_case import ImagesCase, mlp_job
from system_case import as_options, lane, main

USAGE = 2
AVERAGE = {"evaluation__average": 0.9}


class Average(ImagesCase):
    JOB = mlp_job(hidden=[24], optimizer='name = "adam"\nrate = 0.01', epochs=2, cluster="slice_bytes = 4096")

    def weights(self, **settings):
        """The final weights as numbers, one after the other."""
        octets = safetensors_file.read(self.train(self.job, **settings).run_dir / "final.safetensors")[1]
        return struct.unpack(f"<{len(octets) // 4}f", octets)

    def test_it_is_that_of_the_weights_after_each_update(self):
        """With a rate that moves no weight, the first weights; then those of jobs that end one step later each."""
        expected = list(self.weights(train__steps=1, optimizer__rate=1e-30))
        for t in (1, 2):
            share, weights = 1 - (1 + t) / (10 + t), self.weights(train__steps=t)
            expected = [a + share * (w - a) for a, w in zip(expected, weights, strict=True)]
        found = self.weights(train__steps=2, **AVERAGE)
        self.assertLess(max(abs(a - b) for a, b in zip(found, expected, strict=True)), 1e-6)
        self.assertGreater(max(abs(a - b) for a, b in zip(found, weights, strict=True)), 1e-3)

    def test_bsp_has_the_same_bits_however_the_work_is_shared_and_simulated(self):
        run = self.train(self.job, **AVERAGE)
        final = run.final()
        self.assertEqual(final["average"], 0.9)
        self.assertIn("of the moving average of the weights", run.output)
        self.assertEqual(safetensors_file.weights_sha256(run.run_dir / "final.safetensors"), final["weights_sha256"])
        for shared in ({"cluster__workers": 2, **lane("shm")}, {"cluster__workers": 4, "cluster__servers": 2, **lane("tcp")}):
            with self.subTest(**shared):
                other = self.train(self.job, **AVERAGE, **shared).final()
                self.assertEqual(other["weights_sha256"], final["weights_sha256"])
                self.assertEqual(other["test_loss"], final["test_loss"])
        self.rubato("simulate", self.job, "--run-dir", self.folder / "simulated", *as_options(AVERAGE))
        self.assertEqual(safetensors_file.weights_sha256(self.folder / "simulated" / "final.safetensors"),
                         final["weights_sha256"])
        plain = self.train(self.job)
        self.assertNotEqual(plain.final()["weights_sha256"], final["weights_sha256"])
        self.assertNotIn("moving average", plain.output)

    def test_a_replay_comes_to_the_same(self):
        run = self.train(self.job, "--mode", "asp", "--record", cluster__workers=2, **AVERAGE)
        done = subprocess.run([self.build / "bin/rubato-sim", "--replay", run.run_dir], capture_output=True, text=True,
                              timeout=100)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"weights_sha256 {run.final()['weights_sha256']}", done.stdout)

    def test_a_server_that_comes_back_goes_on_with_it(self):
        settings = {"train__steps": 120, **AVERAGE}
        whole = self.train("quadratic", "--mode", "bsp", **settings).final()
        run = self.start("quadratic", "--mode", "bsp", debug__slow_worker_ms=5, **settings)
        run.wait_for_clock("worker-1", 40)
        run.kill("server-1")
        self.assert_ends(run, 0)
        self.assertIn("server-1 is back after", run.output)
        self.assertEqual(run.final()["weights_sha256"], whole["weights_sha256"])

    def test_without_an_evaluation_it_is_refused(self):
        run = self.start("quadratic", evaluation__enabled=False, **AVERAGE)
        self.assertEqual(run.wait(), USAGE, run.output)
        self.assertIn("evaluation.average = 0.9 averages weights for evaluations, and none are made", run.last_line)


if __name__ == "__main__":
    main()
