"""Class weights and labels that are none, in real jobs: the same for whoever computes them, and told when they cannot be."""

import json
import random

import data_files
from images_case import ImagesCase
from system_case import main

USAGE, DATA = 2, 3

# The files have four classes: the last one's label is none.
JOB = """
[model]
name = "mlp"
hidden = [16]
class_weighting = "balanced"
[data]
kind = "npz"
path = "images.npz"
classes = 3
ignored_labels = [3]
mean = 0.3
stddev = 0.3
[optimizer]
rate = 0.05
[consistency]
mode = "bsp"
[train]
batch = 32
epochs = 2
"""


def labelled(seed: int, count: int) -> int:
    """Of what data_files.write_npz makes as its part number `seed`."""
    source = random.Random(seed)
    return sum(source.randrange(data_files.CLASSES) != 3 for _ in range(count))


class Labels(ImagesCase):
    JOB = JOB
    SAMPLES = {"train": 160, "val": 30, "test": 60}

    def test_only_labelled_samples_are_trained_on_and_counted(self):
        for mode in ("bsp", "asp", "local:2"):
            with self.subTest(mode=mode):
                run = self.train(self.job, consistency__mode=mode, cluster__workers=2)
                lines = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
                start = next(line for line in lines if line["event"] == "start")
                self.assertEqual(start["train_samples"], labelled(0, 160))
                self.assertEqual(run.final()["samples"], 2 * labelled(0, 160))
                self.assertEqual(run.final()["details"]["samples"], labelled(2, 60))

    def test_weights_of_classes_are_the_same_for_all_workers(self):
        expected = self.train(self.job).final()["weights_sha256"]
        for shared in ({"cluster__workers": 2, "cluster__servers": 2}, {"cluster__workers": 4}):
            self.assertEqual(self.train(self.job, **shared).final()["weights_sha256"], expected)
        self.assertNotEqual(self.train(self.job, model__class_weighting="none").final()["weights_sha256"], expected)

    def test_only_how_weights_compare_counts(self):
        one = self.train(self.job, model__class_weighting="none", model__class_weights=[1, 2, 4])
        two = self.train(self.job, model__class_weighting="none", model__class_weights=[4, 8, 16])
        self.assertEqual(one.final()["weights_sha256"], two.final()["weights_sha256"])  # powers of two: no rounding

    def test_a_part_without_labels_and_weights_without_classes_are_refused(self):
        run = self.train(self.job, expected_code=DATA, data__ignored_labels=[0, 1, 2, 3])
        self.assertIn("data.ignored_labels leaves no label in the training part", run.output)
        run = self.train(self.job, expected_code=USAGE, model__class_weighting="none", model__class_weights=[1, 2])
        self.assertIn("model.class_weights has 2 numbers, and data.classes = 3: give one for each class", run.output)


if __name__ == "__main__":
    main()
