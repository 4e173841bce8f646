"""What a finished job leaves: the final line, the figures, the weights."""

import unittest

import images
import safetensors_file
from system_case import SystemCase, main

FINAL_FIELDS = {
    "event", "time_s", "epoch", "clock", "train_loss", "test_loss", "test_accuracy", "precision_macro", "recall_macro",
    "f1_macro", "samples_per_s", "staleness_max", "age_mean", "age_p99", "weights_sha256", "pushes", "pushes_repeated",
    "refused_frames",
}
EPOCH_FIELDS = {"event", "time_s", "epoch", "clock", "train_loss", "samples_per_s", "staleness_max", "age_mean", "age_p99"}
EVALUATION_FIELDS = {"test_loss", "test_accuracy", "precision_macro", "recall_macro", "f1_macro"}
EPOCHS = 3
TEST_IMAGES = 120


def ratio(part, whole):
    return part / whole if whole else 0.0


def scores(confusion):
    """(precision, recall, f1, support) of each class; a row is a true class, a column a predicted one."""
    found = []
    for k, row in enumerate(confusion):
        precision = ratio(row[k], sum(other[k] for other in confusion))
        recall = ratio(row[k], sum(row))
        found.append((precision, recall, ratio(2 * precision * recall, precision + recall), sum(row)))
    return found


class Finished(SystemCase):
    def train_images(self, mode="ssp:2", **settings):
        files = images.write(self.folder / "images", train=600, test=TEST_IMAGES)
        return self.train("fashion_mlp", "--mode", mode, train__epochs=EPOCHS, train__batch=20, model__hidden=[32],
                          cluster__slice_bytes=16384, **files, **settings)

    def assert_close(self, found, expected, what):
        for value, wanted in zip(found, expected, strict=True):
            self.assertAlmostEqual(value, wanted, places=9, msg=what)

    def test_figures_follow_from_the_confusion_matrix(self):
        final = self.train_images().final()
        details = final["details"]
        confusion = details["confusion"]
        expected = scores(confusion)
        names = ("precision", "recall", "f1")
        for k, score in enumerate(details["per_class"]):
            self.assert_close([score[name] for name in names], expected[k][:3], f"class {k}")
            self.assertEqual(score["support"], expected[k][3])
        macro = [sum(column) / len(expected) for column in list(zip(*expected))[:3]]
        weighted = [sum(score[i] * score[3] for score in expected) / TEST_IMAGES for i in range(3)]
        self.assert_close([details["macro"][name] for name in names], macro, "macro")
        self.assert_close([details["weighted"][name] for name in names], weighted, "weighted")
        accuracy = sum(row[k] for k, row in enumerate(confusion)) / TEST_IMAGES
        self.assert_close([details["micro"][name] for name in names], [accuracy] * 3, "micro")
        self.assertAlmostEqual(final["test_accuracy"], accuracy)
        self.assert_close([final[f"{name}_macro"] for name in names], macro, "the final line")
        self.assertEqual(sum(map(sum, confusion)), TEST_IMAGES)
        self.assertGreater(accuracy, 0.5, "nothing was learned")

    def test_the_lines_have_their_fields(self):
        run = self.train_images()
        lines = run.metrics()
        final = lines[-1]
        self.assertEqual(FINAL_FIELDS - set(final), set())
        self.assertEqual((final["event"], final["epoch"]), ("final", EPOCHS))
        self.assertEqual(final["samples"], 600 * EPOCHS)
        # Each of two workers takes 300 samples an epoch, 20 at a time, and pushes every slice in every step.
        slices = next(line for line in lines if line["event"] == "start")["slices"]
        self.assertEqual(final["pushes"], 2 * EPOCHS * 15 * slices)
        self.assertEqual((final["pushes_repeated"], final["refused_frames"]), (0, 0))
        epochs = [line for line in lines if line["event"] == "epoch"]
        self.assertEqual([line["epoch"] for line in epochs], list(range(1, EPOCHS + 1)))
        for line in epochs:
            self.assertEqual(EPOCH_FIELDS - set(line), set())
            self.assertLessEqual(line["staleness_max"], 2)
        for line in lines:
            if line["event"] == "evaluation":
                self.assertEqual(EVALUATION_FIELDS - set(line), set())
        workers = {line["worker"] for line in lines if line["event"] == "worker"}
        self.assertEqual(workers, {"worker-0", "worker-1"})

    def test_the_table_is_printed(self):
        run = self.train_images()
        table = (run.run_dir / "evaluation.txt").read_text()
        self.assertIn(table.rstrip("\n"), run.output)
        for words in ("precision", "recall", "f1", "macro", "micro", "weighted", "confusion"):
            self.assertIn(words, table)

    def test_the_weights_are_those_of_the_hash(self):
        for mode in ("bsp", "asp"):
            with self.subTest(mode):
                run = self.train_images(mode)
                path = run.run_dir / "final.safetensors"
                tensors = safetensors_file.check(path)
                self.assertEqual([tensor["shape"] for tensor in tensors.values()], [[32, 784], [32], [10, 32], [10]])
                self.assertEqual(safetensors_file.weights_sha256(path), run.final()["weights_sha256"])

    def test_each_epoch_is_evaluated_in_bsp_at_its_exact_clock(self):
        run = self.train_images("bsp")
        lines = [line for line in run.metrics() if line["event"] in ("evaluation", "final")]
        self.assertEqual([(line["epoch"], line["clock"]) for line in lines], [(1, 30), (2, 60), (3, 90)])

    def test_no_evaluation_still_writes_weights(self):
        run = self.train_images(evaluation__enabled=False)
        final = run.final()
        self.assertIsNone(final["test_loss"])
        self.assertEqual(safetensors_file.weights_sha256(run.run_dir / "final.safetensors"), final["weights_sha256"])


if __name__ == "__main__":
    main()
