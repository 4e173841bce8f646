"""Convolutions computed as was measured: one plan for all who compute, written before they start, and used again."""

import json
import subprocess

from images_case import IdxCase
from system_case import JOBS, as_options, main


class Plan(IdxCase):
    SMALL = {"model__channels": [16, 32], "train__steps": 6, "train__batch": 32}

    def test_it_is_measured_once_and_gives_the_same_bits_again(self):
        first = self.train("fashion_cnn", "--mode", "bsp", "--workers", 2, "--record",
                           **self.settings(worker__plan="measure"))
        self.assertIn("note: plan: the best ways of", first.output)
        plan = json.loads((first.run_dir / "plan.json").read_text())
        calls = sorted({choice["call"] for choice in plan["choices"]})
        self.assertEqual(calls, ["backward_data", "backward_weights", "forward", "inference"])
        subprocess.run([self.build / "bin/rubato-sim", "--replay", first.run_dir], check=True, capture_output=True,
                       env=self.environment)
        chosen = self.settings(worker__plan=f"file:{first.run_dir / 'plan.json'}")
        again = self.train("fashion_cnn", "--mode", "bsp", "--workers", 1, **chosen)
        self.assertEqual(again.final()["weights_sha256"], first.final()["weights_sha256"])
        self.assertEqual(json.loads((again.run_dir / "plan.json").read_text()), plan)
        simulated = self.folder / "simulated"
        subprocess.run([self.build / "bin/rubato-sim", JOBS / "fashion_cnn.toml", "--run-dir", simulated, "--mode", "bsp", "--no-progress",
                        *as_options(chosen)], check=True, capture_output=True, env=self.environment)
        final = json.loads((simulated / "metrics.jsonl").read_text().splitlines()[-1])
        self.assertEqual(final["weights_sha256"], first.final()["weights_sha256"])

    def test_the_other_way_is_taken_where_the_plan_says_so(self):
        first = self.train("fashion_cnn", "--mode", "bsp", **self.settings(worker__plan="measure"))
        plan = json.loads((first.run_dir / "plan.json").read_text())
        turned = 0
        for choice in plan["choices"]:
            choice["ways"].reverse()
            turned += len(choice["ways"]) > 1
        self.assertGreater(turned, 0)
        file = self.folder / "turned.json"
        file.write_text(json.dumps(plan))
        second = self.train("fashion_cnn", "--mode", "bsp", **self.settings(worker__plan=f"file:{file}"))
        self.assertEqual(json.loads((second.run_dir / "plan.json").read_text()), plan)
        # Nothing but roundings differs, if they do.
        self.assertAlmostEqual(second.final()["test_loss"], first.final()["test_loss"], places=4)

    def test_what_is_no_plan_is_told_before_anything_starts(self):
        file = self.folder / "plan.json"
        for text, part in (("{}", 'it has no "format": 1'), (None, "cannot read the plan")):
            file.unlink(missing_ok=True)
            if text is not None:
                file.write_text(text)
            run = self.start("fashion_cnn", **self.settings(worker__plan=f"file:{file}"))
            self.assert_one_error(run, 2, part, str(file))
        run = self.start("fashion_cnn", **self.settings(worker__plan="guess"))
        self.assert_one_error(run, 2, "worker.plan", "must be rule, measure or file:PLAN.json")


if __name__ == "__main__":
    main()
