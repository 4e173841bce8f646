"""Real jobs on data of every kind: what is read is learned from, and what is wrong is said before anything starts."""

import json
import math
import subprocess
import zipfile
from pathlib import Path

import data_files
import images
from run import ROOT
from system_case import SystemCase, main

PEER_LOST = 5  # as status says of a job that is over
JOB = """
[model]
name = "{model}"
loss = "{loss}"
{more}
[data]
{data}
[optimizer]
name = "adam"
rate = 0.01
[consistency]
mode = "ssp:2"
[cluster]
servers = 1
workers = 2
[train]
epochs = {epochs}
batch = 20
[evaluation]
{evaluation}
"""

FOLDER = """kind = "folder"
path = "images"
classes = 4
image_size = 8
resize = 8
crop_area = [0.9, 1.0]
cache_mb = 1"""


class DataKinds(SystemCase):
    def job(self, data, model="logistic", loss="cross_entropy", epochs=8, evaluation="", more=""):
        path = self.folder / "job.toml"
        path.write_text(JOB.format(data=data, model=model, loss=loss, epochs=epochs, evaluation=evaluation, more=more))
        return path

    def assert_nothing_is_said_of(self, part, run):
        """Of a part that was not read."""
        self.assertEqual([name for line in run.metrics() for name in line if part in name], [])
        self.assertNotIn(f"{part} accuracy", run.output)
        self.assertNotIn(f"{part} loss", run.output)

    def test_npz_of_16_bits_and_its_validation_part(self):
        data_files.write_npz(self.folder / "mnist.npz", {"train": 300, "val": 41, "test": 60})
        data = 'kind = "npz"\npath = "mnist.npz"\nclasses = 4\nmean = [0.2, 0.2, 0.2]\nstddev = [0.3, 0.3, 0.3]'
        for part, samples in (("test", 60), ("validation", 41)):
            run = self.train(self.job(data, evaluation=f'part = "{part}"'))
            final, other = run.final(), {"test": "validation", "validation": "test"}[part]
            self.assertGreater(final[f"{part}_accuracy"], 0.95, "nothing was learned")
            self.assert_nothing_is_said_of(other, run)
            self.assertIn(f"samples/s, {part} accuracy ", run.output)
            self.assertIn(f": {part} accuracy ", run.output, "as training goes on")
            self.assertIn(f"{part} accuracy ", self.launcher("status", run.run_dir, expected_code=PEER_LOST))
            self.assertEqual(sum(map(sum, final["details"]["confusion"])), samples)
            self.assertEqual(final["samples"], 300 * 8)

    def test_cifar(self):
        data_files.write_cifar(self.folder / "cifar",
                               {"data_batch_1.bin": 200, "data_batch_2.bin": 200, "test_batch.bin": 100})
        final = self.train(self.job('kind = "cifar"\npath = "cifar"', epochs=5)).final()
        self.assertGreater(final["test_accuracy"], 0.9, "nothing was learned")

    def test_folder_of_images(self):
        data_files.write_folder(self.folder / "images", {"train": 300, "val": 41})
        final = self.train(self.job(FOLDER, evaluation='part = "validation"')).final()
        self.assertGreater(final["validation_accuracy"], 0.95, "nothing was learned")
        self.assertEqual(sum(map(sum, final["details"]["confusion"])), 41)
        self.assertEqual(final["samples"], 300 * 8)

    def test_readers_and_cache_of_a_folder_change_no_bit(self):
        data_files.write_folder(self.folder / "images", {"train": 60, "val": 20})
        hashes = set()
        for workers, readers, cache_mb in ((1, 1, 0), (2, 1, 1), (2, 4, 0)):
            job = self.job(FOLDER, epochs=2, evaluation='part = "validation"')
            run = self.train(job, "--mode", "bsp", "--workers", workers, "--set", f"data.readers={readers}",
                             "--set", f"data.cache_mb={cache_mb}")
            hashes.add(run.final()["weights_sha256"])
        self.assertEqual(len(hashes), 1)

    def test_a_folder_comes_to_the_weights_of_the_idx_files_it_was_made_of(self):
        """Where nothing is cut out or mirrored: decoding and normalization are the same, bit for bit."""
        settings = images.write(self.folder / "idx", 50, 30)
        # Images of a folder are numbered class by class: here those of the files are, whatever they show.
        labels = bytes(number // 5 for number in range(50))
        Path(settings["data__train_labels"]).write_bytes(images.idx((50,), labels))
        for part in ("train", "test"):
            command = [ROOT / "scripts/idx_to_folder", settings[f"data__{part}_inputs"], settings[f"data__{part}_labels"],
                       self.folder / "png" / part]
            subprocess.run(command, check=True, timeout=60)
        as_idx = self.train(self.job('kind = "idx"\nmean = 0.3\nstddev = 0.2', epochs=2), "--mode", "bsp", **settings)
        job = self.job('kind = "folder"\npath = "png"\nchannels = 1\nimage_size = 28\nresize = 28\ncrop = "center"\n'
                       'flip = 0.0\nmean = 0.3\nstddev = 0.2', epochs=2)
        as_folder = self.train(job, "--mode", "bsp")
        self.assertEqual(as_folder.final()["weights_sha256"], as_idx.final()["weights_sha256"])

    def test_images_that_are_damaged(self):
        data_files.write_folder(self.folder / "images", {"train": 60, "val": 20})
        cut = self.folder / "images/train/class1/0005.png"
        good = cut.read_bytes()
        cut.write_bytes(good[:-20])
        wrong = f"{cut}: cut off: the PNG's end is missing"
        evaluation = 'part = "validation"'
        self.assert_one_error(self.train(self.job(FOLDER, evaluation=evaluation), expected_code=3), 3, wrong)
        run = self.train(self.job(FOLDER + "\nskip_max = 1", evaluation=evaluation))
        self.assertIn(f"1 of 60 images left out: {wrong}", run.log("worker-0"))
        # What its end does not show is found when a step is due that reads it.
        cut.write_bytes(good[:60] + bytes([good[60] ^ 0x55]) + good[61:])
        run = self.train(self.job(FOLDER, evaluation=evaluation), expected_code=3)
        self.assert_one_error(run, 3, f"{cut}: a damaged PNG (")
        run = self.train(self.job(FOLDER + "\nskip_max = 1", evaluation=evaluation))
        self.assertIn(f"{cut}: a damaged PNG (", run.log("worker-0") + run.log("worker-1"))
        # Also where the others could go on, and would have no more of it to read.
        run = self.train(self.job(FOLDER, evaluation=evaluation, epochs=1), "--mode", "ssp:3", expected_code=3)
        self.assert_one_error(run, 3, f"{cut}: a damaged PNG (")

    def test_csv_of_classes_and_of_numbers(self):
        data_files.write_table(self.folder / "patients.csv", 600)
        data = 'kind = "csv"\npath = "patients.csv"\ncolumns = ["age", "pressure"]\ngroup = "patient"\n'
        final = self.train(self.job(data + 'target = "finding"\nclasses = 2')).final()
        self.assertGreater(final["test_accuracy"], 0.93, "nothing was learned")
        # In units of the training part's variance, which always saying the mean would come to.
        final = self.train(self.job(data + 'target = "score"', loss="mse")).final()
        self.assertLess(final["test_loss"], 0.05, "nothing was learned")
        self.assertIsNone(final["test_accuracy"], "there are no classes")

    def test_series(self):
        data_files.write_series(self.folder / "traffic.csv", 24 * 40)
        data = 'kind = "series"\npath = "traffic.csv"\ntime = "hour"\ntarget = "cars"\nwindow = 24\nhorizon = 6'
        run = self.train(self.job(data + "\nseason = 24", loss="mse", epochs=20))
        final = run.final()
        self.assertLess(final["test_loss"], 0.1, "nothing was learned")
        # A day that comes again, with noise: the naive forecast is as wrong in the test as in training.
        self.assertAlmostEqual(final["details"]["naive_mase"], 1, delta=0.2)
        self.assertGreater(final["details"]["mase"], 0)
        self.assertIn("naive: as 24 lines before; over", run.output)

    def test_text(self):
        """What is said at the end is a line, and the table of some bytes is in a file."""
        (self.folder / "song.txt").write_text("row, row, row your boat, gently down the stream. " * 40)
        job = self.job('kind = "text"\npath = "song.txt"\nclasses = 256\nwindow = 8\ntest_fraction = 0.2', model="gpt",
                       more="width = 8\nlayers = 1\nheads = 2", epochs=2)
        run = self.train(job, "--mode", "bsp")
        loss = run.final()["test_loss"]
        said = f"test loss {loss:.4f} nats, {loss / math.log(2):.4f} bits a byte, accuracy "
        self.assertIn(said, run.output)
        self.assertNotIn("precision", run.output)
        self.assertIn("precision", (run.run_dir / "evaluation.txt").read_text())
        simulated = self.rubato("simulate", job, "--mode", "bsp", "--run-dir", self.folder / "simulated")
        self.assertIn(said, simulated)
        self.assertNotIn("precision", simulated)

    def test_sequences_of_different_lengths(self):
        """What is behind a sample's end changes no bit, nor who computes it."""
        data, hashes = 'kind = "npz"\npath = "gestures.npz"\nclasses = 4', set()
        for workers, padding in ((1, float("nan")), (2, 7.0)):
            data_files.write_sequences(self.folder / "gestures.npz", {"train": 300, "test": 100}, padding)
            job = self.job(data, model="gru", more="width = 8\nbidirectional = true")
            trained = self.train(job, "--mode", "bsp", "--workers", workers)
            hashes.add(trained.final()["weights_sha256"])
        self.assertEqual(len(hashes), 1)
        self.assertGreater(trained.final()["test_accuracy"], 0.9, "nothing was learned")
        with zipfile.ZipFile(self.folder / "gestures.npz") as source, zipfile.ZipFile(self.folder / "whole.npz", "w") as whole:
            for name in source.namelist():
                if "lengths" not in name:
                    whole.writestr(name, source.read(name))
        said = self.rubato("eval", trained.run_dir, "--data", self.folder / "whole.npz", expected_code=3)
        self.assertIn("a model of sequences of different lengths, and these samples have none", said)
        run = self.train(self.job(data, model="mlp", more="hidden = [4]"), expected_code=2)
        self.assert_one_error(run, 2, "layer fc1 is a dense layer of all positions", "train_lengths")

    def test_micro_batches_come_to_the_same(self):
        """With one worker every step is the same: what differs is the order in which its samples are added up. The
        gradients differ by some units in the 24th bit (tests/worker/step_runner_test.cc has the bound), and so do, after
        few steps of plain descent, the losses."""
        data_files.write_npz(self.folder / "mnist.npz", {"train": 120, "test": 60})
        data = 'kind = "npz"\npath = "mnist.npz"\nclasses = 4'
        for mode, more in (("asp", {}), ("asp", {"data__shards": "leased"}), ("backup:0", {}), ("local:2", {})):
            losses = []
            for micro_batch in (0, 7):
                run = self.train(self.job(data, model="mlp", more="hidden = [16]", epochs=2), "--mode", mode, "--workers", 1,
                                 optimizer__name="sgd", worker__micro_batch=micro_batch, **more)
                self.assertEqual(run.final()["samples"], 240)
                losses.append(run.final()["test_loss"])
            with self.subTest(mode):
                self.assertAlmostEqual(*losses, delta=1e-5 * losses[0])
        # Which weights a step of softsync begins with is a matter of time, whatever is cut.
        run = self.train(self.job(data, model="mlp", more="hidden = [16]", epochs=2), "--mode", "softsync:1",
                         worker__micro_batch=7)
        self.assertEqual(run.final()["samples"], 240)

    def test_libsvm(self):
        data_files.write_libsvm(self.folder / "train", 400, 1)
        data_files.write_libsvm(self.folder / "test", 100, 2)
        data = 'kind = "libsvm"\ntrain_inputs = "train"\ntest_inputs = "test"\nclasses = 2'
        final = self.train(self.job(data, epochs=20)).final()
        self.assertGreater(final["test_accuracy"], 0.9, "nothing was learned")

    def test_the_simulator_reads_them_too(self):
        """In bsp it comes to the weights of the real job, bit for bit: it has read the same numbers."""
        data_files.write_npz(self.folder / "mnist.npz", {"train": 60, "test": 20})
        data_files.write_table(self.folder / "patients.csv", 120)
        data_files.write_series(self.folder / "traffic.csv", 240)
        data_files.write_libsvm(self.folder / "rows", 100, 1)
        data_files.write_folder(self.folder / "images", {"train": 60, "test": 20})
        kinds = {
            "folder": FOLDER.split("\n", 1)[1],
            "npz": 'path = "mnist.npz"\nclasses = 4',
            "csv": 'path = "patients.csv"\ncolumns = ["age", "pressure"]\ntarget = "score"',
            "series": 'path = "traffic.csv"\ntime = "hour"\ntarget = "cars"',
            "libsvm": 'path = "rows"\nclasses = 2',
        }
        for kind, keys in kinds.items():
            loss = "mse" if kind in ("csv", "series") else "cross_entropy"
            job = self.job(f'kind = "{kind}"\n{keys}', loss=loss, epochs=2)
            real = self.train(job, "--mode", "bsp").final()
            folder = self.folder / f"sim-{kind}"
            result = subprocess.run([self.build / "bin/rubato-sim", job, "--mode", "bsp", "--run-dir", folder],
                                    capture_output=True, text=True, timeout=120)
            self.assertEqual(result.returncode, 0, result.stderr)
            simulated = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
            self.assertEqual(simulated["weights_sha256"], real["weights_sha256"], kind)
            self.assertEqual(simulated["test_loss"], real["test_loss"], kind)

    def test_lines_that_were_left_out_are_said(self):
        table = self.folder / "patients.csv"
        data_files.write_table(table, 200)
        lines = table.read_text().splitlines()
        lines[7] = "p2,old,12000,ill,1000"
        table.write_text("\n".join(lines) + "\n")
        data = ('kind = "csv"\npath = "patients.csv"\ncolumns = ["age", "pressure"]\ntarget = "finding"\nclasses = 2\n')
        wrong = f'{table}:8: column "age": expected a finite number, found "old"'
        self.assert_one_error(self.train(self.job(data), expected_code=3), 3, wrong)
        run = self.train(self.job(data + "skip_max = 1"))
        self.assertIn(f"1 of 200 lines left out: {wrong}", run.log("worker-0"))

    def test_an_archive_that_is_cut_off_stops_the_job_before_it_starts(self):
        path = self.folder / "mnist.npz"
        data_files.write_npz(path, {"train": 50, "test": 50})
        path.write_bytes(path.read_bytes()[:-30])
        run = self.train(self.job('kind = "npz"\npath = "mnist.npz"\nclasses = 4'), expected_code=3)
        self.assert_one_error(run, 3, "mnist.npz: expected a zip archive")


if __name__ == "__main__":
    main()
