"""bfloat16: what is multiplied is rounded, alike for everybody; a processor without it, or TF32, is told apart."""

import json
import subprocess
import unittest

from images_case import IdxCase
from system_case import main

DEVICE_ERROR = 7
FACTORS = {"worker__precision": "bfloat16"}


def processor_has_bfloat16():
    flags = next((line for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("flags")), "")
    return "avx512_bf16" in flags.split()


class Precision(IdxCase):
    SMALL = {"model__channels": [16, 32], "train__steps": 12, "train__batch": 32}

    def test_a_processor_without_it_is_told_apart(self):
        self.environment["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        run = self.start("fashion_cnn", **self.settings(**FACTORS))
        self.assert_one_error(run, DEVICE_ERROR, 'worker.precision = "bfloat16"', "AVX512_BF16", "avx2", 'say "float32"')

    def test_tf32_is_a_gpus(self):
        run = self.start("fashion_cnn", **self.settings(worker__precision="tf32"))
        self.assert_one_error(run, DEVICE_ERROR, 'worker.precision = "tf32"', "GPU", 'say "float32"')

    def test_other_words_are_refused(self):
        run = self.start("fashion_cnn", **self.settings(worker__precision="bf16"))
        self.assert_one_error(run, 2, "worker.precision", "float32", "bfloat16")

    @unittest.skipUnless(processor_has_bfloat16(), "this processor has no bfloat16")
    def test_it_rounds_alike_for_everybody(self):
        runs = [self.train("fashion_cnn", "--mode", "bsp", "--workers", workers, "--record", **self.settings(**FACTORS))
                for workers in (1, 2)]
        self.assertEqual(*(run.final()["weights_sha256"] for run in runs))
        subprocess.run([self.build / "bin/rubato-sim", "--replay", runs[1].run_dir], check=True, capture_output=True,
                       env=self.environment)
        exact = self.train("fashion_cnn", "--mode", "bsp", **self.settings())
        self.assertNotEqual(exact.final()["weights_sha256"], runs[0].final()["weights_sha256"])
        # Terms are off by 2^-8 at most, and their errors cancel: so is the loss, about.
        losses = [run.final()["test_loss"] for run in (exact, runs[0])]
        self.assertAlmostEqual(*losses, delta=2**-6 * losses[0])

    @unittest.skipUnless(processor_has_bfloat16(), "this processor has no bfloat16")
    def test_a_plan_chooses_among_both(self):
        run = self.train("fashion_cnn", "--mode", "bsp", **self.settings(worker__plan="measure", **FACTORS))
        plan = json.loads((run.run_dir / "plan.json").read_text())
        self.assertIn("bfloat16", plan["device"])
        for choice in plan["choices"]:
            self.assertTrue(choice["operation"].endswith(", bfloat16"), choice["operation"])
            ways = {way["way"] for way in choice["ways"]}
            self.assertTrue({"rows", "bfloat16 rows"} <= ways, ways)


if __name__ == "__main__":
    main()
