"""Weights in and out of jobs: what a job begins with, and what is done with what it leaves."""

import io
import json
import re
import struct
import zipfile

import data_files
from images_case import ImagesCase, mlp_job
from safetensors_file import tensors_of
from system_case import main

DATA = 3
# So small that no weight moves: what training ends with is what it began with.
STILL = {"optimizer__rate": 1e-30, "train__steps": 2}



def file_of(header: bytes, values: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + values


def archive(*names: str) -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as zipped:
        for name in names:
            zipped.writestr(name, b"content")
    return octets.getvalue()


class Weights(ImagesCase):
    JOB = mlp_job(hidden=[24], optimizer='name = "momentum"\nrate = 0.02', epochs=3)

    def exported(self, run, name="out.safetensors"):
        self.rubato("export", run.run_dir, "--to", self.folder / name)
        return self.folder / name

    # ---- what a job begins with

    def test_training_begins_with_pretrained_weights_however_they_are_cut(self):
        trained = self.train(self.job)
        expected = trained.final()["weights_sha256"]
        for file in (self.exported(trained), trained.run_dir / "final.safetensors"):
            for cut in ({}, {"cluster__servers": 2, "cluster__workers": 2, "cluster__slice_bytes": 256},
                        {"cluster__shard_threads": 2}):
                with self.subTest(file=file.name, **cut):
                    still = self.train(self.job, **STILL, **cut, model__pretrained=str(file))
                    self.assertEqual(still.final()["weights_sha256"], expected)

    def test_without_it_training_begins_elsewhere(self):
        """Or the test above would prove nothing."""
        trained = self.train(self.job)
        self.assertNotEqual(self.train(self.job, **STILL).final()["weights_sha256"], trained.final()["weights_sha256"])

    def test_what_is_skipped_is_drawn(self):
        drawn = tensors_of(self.train(self.job, **STILL).run_dir / "final.safetensors")
        file = self.exported(self.train(self.job))
        given = tensors_of(file)
        mixed = tensors_of(self.train(self.job, **STILL, model__pretrained=str(file),
                                      model__skip=["fc2.*"]).run_dir / "final.safetensors")
        for name in ("fc1.weight", "fc1.bias"):
            self.assertEqual(len(mixed[name]), len(given[name]))
            self.assertNotEqual(mixed[name], drawn[name], name)
        self.assertEqual(mixed["fc1.bias"], given["fc1.bias"])
        for name in ("fc2.weight", "fc2.bias"):
            self.assertEqual(mixed[name], drawn[name], name)

    def test_the_simulator_and_a_replay_begin_there_too(self):
        file = self.exported(self.train(self.job))
        run = self.train(self.job, "--record", model__pretrained=str(file), cluster__workers=2, cluster__servers=2)
        expected = run.final()["weights_sha256"]
        folder = self.folder / "simulated"
        self.rubato("simulate", self.job, "--run-dir", folder, "--workers", 2, "--set", f"model.pretrained={file}")
        final = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
        self.assertEqual(final["weights_sha256"], expected)
        self.assertIn(f"weights_sha256 {expected}", self.rubato("simulate", "--replay", run.run_dir))
        file.write_bytes(file.read_bytes() + b" ")
        self.assertIn("another file lies there now",
                      self.rubato("simulate", "--replay", run.run_dir, expected_code=DATA))

    def test_a_file_that_does_not_fit_ends_the_job_before_it_starts(self):
        file = self.exported(self.train(self.job))
        cases = {
            "another shape": ({"model__hidden": [20]}, ['tensor "fc1.weight"', "[20, 192]", "[24, 192]", "model.skip"]),
            "missing": ({"model__hidden": [24, 8]}, ['tensor "fc3.weight"', "[4, 8]", "found no such tensor"]),
            "a pattern of nothing": ({"model__skip": ["fc7.*"]}, ["fc7.*"]),
        }
        for what, (settings, words) in cases.items():
            with self.subTest(what):
                code = 2 if "pattern" in what else DATA
                run = self.train(self.job, expected_code=code, model__pretrained=str(file), **settings)
                self.assert_one_error(run, code, *words)
                self.assertFalse(list((run.run_dir / "logs").glob("*")) if run.run_dir.exists() else [], "nothing started")

    def test_damaged_files_end_in_one_sentence(self):
        good = self.exported(self.train(self.job)).read_bytes()
        entry = b'"%s":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}'
        cases = {
            "cut in the values": (good[:-100], "not within the"),
            "cut in the header": (good[:50], "expected a header of"),
            "empty": (b"", "expected the 8 bytes"),
            "no JSON": (file_of(b"{]"), "the header is no JSON object"),
            "a huge header": (struct.pack("<Q", 1 << 62) + b"{}", "found a file that begins with 00 00 00 00"),
            "overlapping": (file_of(b"{" + entry % (b"a", 0, 4) + b"," + entry % (b"b", 2, 6) + b"}", bytes(6)),
                            "a hole or an overlap"),
            "a pickle": (b"\x80\x02}q\x00(X\x04\x00\x00\x00", "safetensors.torch.save_file"),
            "an archive of torch.save": (archive("model/data.pkl", "model/data/0"), "safetensors.torch.save_file"),
            "an archive of numpy": (archive("train_images.npy"), "found a numpy archive of train_images"),
            "an archive that is damaged": (b"PK\x03\x04" + bytes(60), "a zip archive that is damaged or cut off"),
            "nested without end": (file_of(b"[" * 5_000_000), "the header is no JSON object"),
        }
        file = self.folder / "damaged.safetensors"
        for what, (octets, words) in cases.items():
            with self.subTest(what):
                file.write_bytes(octets)
                said = self.rubato("eval", file, "--job", self.job, expected_code=DATA)
                self.assertIn(words, said)
                self.assertIn(str(file), said)
                self.assertLess(len(said), 400)
        run = self.train(self.job, expected_code=DATA, model__pretrained=str(file))
        self.assert_one_error(run, DATA, "the header is no JSON object")
        run = self.train(self.job, expected_code=DATA, model__pretrained="nowhere.safetensors")
        self.assert_one_error(run, DATA, "model.pretrained", "nowhere.safetensors: No such file")

    # ---- what is done with what it leaves

    def test_eval_says_what_the_job_has_said(self):
        run = self.train(self.job)
        final = run.final()
        figures = json.loads(self.rubato("eval", run.run_dir, "--json"))
        self.assertEqual(figures.pop("test_samples"), final["details"]["samples"])
        self.assertEqual(set(figures), {"test_loss", "test_accuracy", "precision_macro", "recall_macro", "f1_macro", "details"})
        self.assertEqual(figures, {name: final[name] for name in figures}, "under the names of docs/metrics.md")
        self.assertIn("accuracy", self.rubato("eval", run.run_dir))
        held = json.loads(self.rubato("eval", run.run_dir, "--part", "validation", "--json"))
        self.assertEqual(held["validation_samples"], 30)
        self.assertIn("validation_loss", held)
        trained = json.loads(self.rubato("eval", run.run_dir, "--part", "train", "--json"))
        self.assertNotIn("train_loss", trained, "that is a mean over steps, of what they minimized")
        self.assertIn("train_part_loss", trained)
        data_files.write_npz(self.folder / "others.npz", {"train": 1, "test": 17})
        self.assertEqual(json.loads(self.rubato("eval", run.run_dir, "--data", "others.npz", "--json"))["test_samples"], 17)

    def test_eval_of_data_of_another_shape(self):
        run = self.train(self.job)
        data_files.write_cifar(self.folder / "cifar", {"data_batch_1.bin": 10, "test_batch.bin": 10})
        said = self.rubato("eval", run.run_dir, "--set", "data.kind=cifar", "--set", "data.path=cifar", "--set",
                           "data.classes=10", "--job", run.run_dir / "job.toml", expected_code=DATA)
        self.assertIn("expected shape [10, 24], found [4, 24]", said)

    def test_predict_of_a_table_names_the_classes(self):
        data_files.write_table(self.folder / "patients.csv", 400)
        job = self.JOB.replace('kind = "npz"\npath = "images.npz"\nclasses = 4',
                               'kind = "csv"\npath = "patients.csv"\ncolumns = ["age", "pressure"]\ntarget = "finding"\nclasses = 2')
        self.job.write_text(job.replace("epochs = 3", "epochs = 40"))
        run = self.train(self.job)
        (self.folder / "new.csv").write_text("who,pressure,age\nA,18000,89\nB,6000,21\n")
        self.rubato("predict", run.run_dir, "--input", "new.csv", "--to", "out.csv", "--probabilities")
        lines = [line.split(",") for line in (self.folder / "out.csv").read_text().splitlines()]
        self.assertEqual(lines[0], ["sample", "source", "class", "score_ill", "score_well"])
        self.assertEqual([line[:3] for line in lines[1:]], [["0", "new.csv:2", "ill"], ["1", "new.csv:3", "well"]])
        for line in lines[1:]:
            self.assertAlmostEqual(sum(map(float, line[3:])), 1.0, places=5)
        # The scaling and the names are the weights' own, whatever becomes of the table.
        said = (self.folder / "out.csv").read_text()
        self.rubato("export", run.run_dir, "--to", "table.safetensors")
        (self.folder / "patients.csv").write_text((self.folder / "patients.csv").read_text().replace("well", "fit"))
        self.assertIn("no longer what", self.rubato("eval", run.run_dir, expected_code=DATA))
        (self.folder / "patients.csv").unlink()
        for subject in (run.run_dir, "table.safetensors"):
            self.rubato("predict", subject, "--input", "new.csv", "--to", "again.csv", "--probabilities")
            self.assertEqual((self.folder / "again.csv").read_text(), said)
        (self.folder / "new.csv").write_text("who,age\nA,89\n")
        self.assertIn("pressure", self.rubato("predict", run.run_dir, "--input", "new.csv", expected_code=DATA))

    def test_predict_of_a_series_is_in_its_units(self):
        data_files.write_series(self.folder / "traffic.csv", 24 * 40)
        data = 'kind = "series"\npath = "traffic.csv"\ntime = "hour"\ntarget = "cars"\nwindow = 24\nhorizon = 2'
        job = self.JOB.replace('kind = "npz"\npath = "images.npz"\nclasses = 4', data)
        self.job.write_text(job.replace('name = "mlp"', 'name = "mlp"\nloss = "mse"').replace("epochs = 3", "epochs = 20"))
        run = self.train(self.job)
        self.rubato("predict", run.run_dir, "--part", "test", "--to", "out.csv")
        header, *lines = [line.split(",") for line in (self.folder / "out.csv").read_text().splitlines()]
        rows = [list(map(float, line[2:])) for line in lines]
        self.assertEqual(header, ["sample", "source", "cars+1", "cars+2"])
        self.assertEqual(lines[0][1], f"{self.folder}/traffic.csv:{24 * 40 * 4 // 5 + 2}-{24 * 40 * 4 // 5 + 25}")
        cars = [float(line.split(",")[1]) for line in (self.folder / "traffic.csv").read_text().splitlines()[1:]]
        actual = cars[24 * 40 * 4 // 5 :]  # the last fifth
        errors = [abs(predicted - actual[i + 24 + ahead]) for i, row in enumerate(rows) for ahead, predicted in enumerate(row)]
        self.assertEqual(len(rows), len(actual) - 25)
        self.assertLess(sum(errors) / len(errors), 40, "cars swing by hundreds in a day")
        said = self.rubato("eval", run.run_dir)
        self.assertIn("rmse", said)
        self.assertIn("naive: as the last line", said)
        figures, final = json.loads(self.rubato("eval", run.run_dir, "--json")), run.final()
        for name in ("test_loss", "test_accuracy", "f1_macro", "details"):
            self.assertEqual(figures[name], final[name], name)
        self.assertAlmostEqual(figures["test_rmse"], figures["test_loss"] ** 0.5)
        # Of the newest day alone, what comes behind it.
        day = (self.folder / "traffic.csv").read_text().splitlines()
        (self.folder / "day.csv").write_text("\n".join([day[0], *day[-26:-2]]) + "\n")
        forecast = self.rubato("predict", run.run_dir, "--input", "day.csv").splitlines()
        self.assertEqual([line.split(",")[:2] for line in forecast[1:]], [["0", "day.csv:2-25"]])
        self.assertEqual(list(map(float, forecast[1].split(",")[2:])), rows[-1])
        evaluated = json.loads(self.rubato("eval", run.run_dir, "--data", "traffic.csv", "--json"))
        self.assertEqual(evaluated["test_samples"], 24 * 40 - 25)

    def test_predict_writes_arrays_and_shows_ten(self):
        run = self.train(self.job)
        with zipfile.ZipFile(self.folder / "images.npz") as archive:
            (self.folder / "images.npy").write_bytes(archive.read("test_images.npy"))
        said = self.rubato("predict", run.run_dir, "--input", "images.npy")
        self.assertEqual(len(said.splitlines()), 12)
        self.assertIn("60 samples in all", said)
        self.rubato("predict", run.run_dir, "--input", "images.npy", "--to", "out.npz")
        with zipfile.ZipFile(self.folder / "out.npz") as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(archive.namelist(), ["class.npy", "scores.npy"])
            self.assertTrue(archive.read("scores.npy").startswith(b"\x93NUMPY"))
            self.assertEqual(len(archive.read("class.npy")) % 64, 60 * 8 % 64)
        self.assertIn("of a mlp, and text is generated by a gpt",
                      self.rubato("generate", run.run_dir, "--prompt", "a", expected_code=2))
        self.assertIn(".csv or .npz", self.rubato("predict", run.run_dir, "--input", "images.npy", "--to", "out.txt",
                                                  expected_code=2))

    def test_what_cannot_be_is_said_in_a_line(self):
        for words, code, said in ((("eval", "nothing"), DATA, "nothing: no such run or file"),
                                  (("export", self.folder, "--to", "x.safetensors"), DATA, "no final.safetensors"),
                                  (("export", self.folder, "--to", "x.pth"), 2, "must end in .safetensors"),
                                  (("eval",), 2, "subject is required (try rubato eval --help)"),
                                  (("simulate", "nothing.toml"), 2, "nothing.toml: No such file"),
                                  (("simulate", "--none"), 2, "(try rubato simulate --help)")):
            with self.subTest(words):
                self.assertRegex(self.rubato(*words, expected_code=code), f"^rubato: error: .*{re.escape(said)}")
        for command in ("export", "eval", "predict", "generate"):
            self.assertIn(f"scripts/rubato {command} ", self.rubato(command, "--help"))


if __name__ == "__main__":
    main()
