"""What people get wrong: one clear line that names the cause, the right exit code, no hang, nothing left behind."""

import gzip
import os
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

import images
from system_case import JOBS, SystemCase, as_options, main

USAGE, DATA, NETWORK, DEVICE, STORAGE, REFUSED = 2, 3, 4, 7, 8, 9
HAS_GPU = Path("/dev/nvidiactl").exists()


class Job(SystemCase):
    def test_an_unknown_key_names_the_nearest(self):
        self.assert_one_error(self.start("quadratic", train__epoch=3), USAGE, "train.epoch", "epochs")

    def test_a_wrong_type_and_a_wrong_range(self):
        self.assert_one_error(self.start("quadratic", train__epochs="many"), USAGE, "train.epochs", "integer")
        self.assert_one_error(self.start("quadratic", optimizer__rate=-1), USAGE, "optimizer.rate", "must be 1e-30 to 1e+30")

    def test_the_option_that_was_typed_is_blamed(self):
        self.assert_one_error(self.start("quadratic", "--mode", "ssp"), USAGE, "--mode: consistency.mode", "ssp:3")
        self.assert_one_error(self.start("quadratic", "--workers", "two"), USAGE, "--workers: ", "integer")
        self.assert_one_error(self.start("quadratic", "--servers", "-1"), USAGE, "--servers: ", "1 to 4,096")
        self.assert_one_error(self.start("quadratic", "--seed", 10**30), USAGE, "--seed: ", "too large: ")
        self.assert_one_error(self.start("quadratic", train__seed=10**30), USAGE, "--set: ", "too large: ")

    def test_a_file_that_is_not_there(self):
        self.assert_one_error(self.start(self.folder / "nothing.toml"), USAGE, "nothing.toml")

    def test_what_is_no_file_of_a_job(self):
        self.assert_one_error(self.start(Path("/dev/zero")), USAGE, "/dev/zero: is no regular file")
        self.assert_one_error(self.start(self.folder), USAGE, "is a directory")

    def test_a_file_that_is_no_toml(self):
        path = self.folder / "broken.toml"
        path.write_text("[train\nepochs = 3\n")
        self.assert_one_error(self.start(path), USAGE, "broken.toml", "1")

    def test_more_workers_than_leaves(self):
        run = self.start("quadratic", "--mode", "bsp", "--workers", 5, train__micro_batches=4)
        self.assert_one_error(run, USAGE, "micro_batches", "5")

    @unittest.skipIf(HAS_GPU, "there is a GPU here")
    def test_a_device_that_is_not_there(self):
        """One line, before anything starts: what was looked for, what was found, how to go on."""
        for device in ("cuda", "cuda:0"):
            with self.subTest(device):
                run = self.start("quadratic", worker__device=device)
                self.assert_one_error(run, DEVICE, f"\"{device}\"", "this machine", "say worker.device = \"auto\"")
                self.assertEqual(len(run.output.splitlines()), 1, run.output)
                self.assertFalse((run.run_dir / "logs").exists(), "nobody was started")
        run = self.start("quadratic", server__device="cuda")
        self.assert_one_error(run, DEVICE, "server.device = \"cuda\"", "this machine", "say server.device = \"cpu\"")
        self.assertEqual(len(run.output.splitlines()), 1, run.output)
        self.assert_one_error(self.start("quadratic", server__device="auto"), USAGE, "server.device", "cpu, cuda or cuda:N")

    @unittest.skipIf(HAS_GPU, "there is a GPU here")
    def test_a_device_that_is_to_be_found(self):
        run = self.start("quadratic", worker__device="auto", train__steps=20)
        self.assert_ends(run, 0)
        said = [line for line in run.output.splitlines() if "auto" in line]
        self.assertEqual(len(said), 1, run.output)
        self.assertTrue(said[0].startswith("note: worker.device = \"auto\" takes the CPU: no GPU can be used: "), said)


class Data(SystemCase):
    def setUp(self):
        super().setUp()
        self.images = images.write(self.folder / "images", train=200, test=50)

    def file(self, which) -> Path:
        return Path(self.images[f"data__{which}"])

    def test_a_list_of_layers_that_does_not_fit(self):
        """Before anything starts."""
        for network, words in (
                (["conv 8 kernel=29", "dense 10"], ("layer conv1", "expected at least 29 x 29", "found 28 x 28 x 1")),
                (["conv 8", "dense 9"], ("layer dense1", "expected 10 numbers", "found 1 x 1 x 9")),
                (["conv 8", "add input", "dense 10"], ("layer add1", "from input, as from conv1", "found 28 x 28 x 1")),
                (["conv 8", "dens 10"], ("--set: model.network", "did you mean \"dense\"?"))):
            run = self.start("fashion_layers", model__network=network, **self.images)
            self.assert_one_error(run, USAGE, *words)
            self.assertFalse((run.run_dir / "logs").exists(), "nobody was started")

    def assert_refused(self, *words):
        run = self.start("fashion_lenet", **self.images)
        self.assert_one_error(run, DATA, *words)
        self.assert_cause_comes_first(run, *words)
        self.assertNotIn("exited with code", run.output)
        told = [line for line in run.output.splitlines() if not line.startswith(" ")]  # but how far it has come
        # The heading, the memory it would take, the cause, how many ended, whose fault it was.
        self.assertLessEqual(len(told), 5, run.output)

    def test_the_files_are_good(self):
        self.train("fashion_lenet", train__epochs=1, **self.images)

    def assert_refused_before_anybody_starts(self, *words):
        run = self.start("fashion_lenet", **self.images)
        self.assert_one_error(run, DATA, *words)
        self.assertEqual(len(run.output.splitlines()), 1, run.output)
        self.assertFalse((run.run_dir / "logs").exists(), "nobody was started")
        return run

    def test_a_missing_file(self):
        self.file("train_labels").unlink()
        missing = f"--set: data.train_labels: {self.file('train_labels')}: No such file or directory"
        self.assert_refused_before_anybody_starts(missing)
        self.assertIn(missing, self.rubato("simulate", JOBS / "fashion_lenet.toml", *as_options(self.images), "--run-dir",
                                           self.folder / "simulated", expected_code=DATA))

    def test_a_file_of_another_kind(self):
        self.file("test_labels").write_bytes(b"\x93NUMPY and so on")
        self.assert_refused_before_anybody_starts("--set: data.test_labels: ",
                                                  ": expected an idx file, found a numpy array (npy)")
        self.file("test_labels").write_bytes(b"")
        self.assert_refused_before_anybody_starts("there is nothing in it")
        self.images["evaluation__enabled"] = False
        self.train("fashion_lenet", train__steps=2, **self.images)

    def test_a_truncated_gz(self):
        path = self.file("train_inputs")
        path.write_bytes(path.read_bytes()[:-1000])
        self.assert_refused(str(path), "cut off")

    def test_a_damaged_gz(self):
        path = self.file("train_inputs")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
        self.assert_refused(str(path))

    def test_test_images_of_another_size(self):
        self.file("test_inputs").write_bytes(gzip.compress(images.idx((50, 20, 28), bytes(50 * 20 * 28))))
        self.assert_refused(str(self.file("test_inputs")), "expected samples of 28 x 28 x 1", "found 20 x 28 x 1")

    def test_a_wrong_number_of_labels(self):
        self.file("train_labels").write_bytes(gzip.compress(images.idx((199,), bytes(199))))
        self.assert_refused(str(self.file("train_labels")), "199", "200")

    def test_a_label_beyond_the_classes(self):
        self.file("train_labels").write_bytes(gzip.compress(images.idx((200,), bytes([10] * 200))))
        self.assert_refused(str(self.file("train_labels")), "10")

    def test_test_files_count_as_well(self):
        self.file("test_inputs").write_bytes(gzip.compress(b"no images at all"))
        self.assert_refused(str(self.file("test_inputs")))


class Ports(SystemCase):
    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            run = self.start("quadratic", cluster__transport="tcp", cluster__scheduler_port=port)
            self.assert_one_error(run, NETWORK, str(port), "in use")
            run = self.start("quadratic", cluster__http_port=port)
            self.assert_one_error(run, NETWORK, str(port), "cluster.http_port")

    def test_a_wildcard_and_a_name(self):
        for transport in ("ipc", "tcp"):
            for bind, words in (("0.0.0.0", "wildcard"), ("nowhere.invalid", "must be an IPv4 address")):
                with self.subTest(transport=transport, bind=bind):
                    run = self.start("quadratic", cluster__transport=transport, cluster__bind=bind)
                    self.assert_one_error(run, USAGE, "cluster.bind", bind, words)

    def test_an_address_that_is_not_ours(self):
        self.assert_one_error(self.start("quadratic", cluster__transport="tcp", cluster__bind="192.0.2.1"), NETWORK,
                              "192.0.2.1")


class Disk(SystemCase):
    def test_a_run_dir_under_a_file(self):
        (self.folder / "file").write_text("")
        run = self.start("quadratic", run_dir=self.folder / "file" / "run")
        self.assert_one_error(run, STORAGE, f"cannot make the run directory {self.folder}/file", ": not a directory")

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_a_run_dir_that_is_not_writable(self):
        locked = self.folder / "locked"
        locked.mkdir(mode=0o500)
        self.assert_one_error(self.start("quadratic", run_dir=locked / "run"), STORAGE, str(locked))

    def test_a_full_disk(self):
        """The weights are 400 KB, the disk has 128. It is mounted for this job alone, in a name space of its own."""
        if not may_mount():
            self.skipTest("no file system may be mounted here")
        disk = self.folder / "disk"
        disk.mkdir()
        script = f'mount -t tmpfs -o size=128k tmpfs {disk} && exec "$@"'
        run = self.start("quadratic", run_dir=disk / "run", wrapped_in=("unshare", "-rm", "sh", "-c", script, "sh"),
                         model__size=100_000, train__steps=3)
        self.assert_one_error(run, STORAGE, "final.safetensors", "No space left on device")


class Strangers(SystemCase):
    """Programs that do not belong to the job that they try to join."""

    def setUp(self):
        super().setUp()
        self.run = self.start("quadratic", train__steps=1000, debug__slow_worker_ms=5)
        self.run.wait_for_clock("worker-1", 5)

    def join(self, job: Path, *words):
        command = [self.build / "bin" / "rubato-worker", "--job", job, "--run-dir", self.folder,
                   "--scheduler", self.run.address()["endpoint"], *words]
        return subprocess.run([str(word) for word in command], env=self.environment, text=True, capture_output=True,
                              timeout=60)

    def assert_refused(self, result, *words):
        self.assertEqual(result.returncode, REFUSED, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_are_refused_and_the_job_goes_on(self):
        other = self.folder / "other.toml"
        other.write_text((self.run.run_dir / "job.toml").read_text().replace("seed = 1", "seed = 2"))
        own = self.run.run_dir / "job.toml"
        self.assert_refused(self.join(other, "--rank", 1), "another job file")
        self.assert_refused(self.join(own, "--rank", 7), "worker-7 is not part of this job")
        self.assert_refused(self.join(own, "--rank", 1), "worker-1 is in the job already")
        self.run.launcher.terminate()
        self.assert_ends(self.run, 130)

    def test_an_address_of_no_job(self):
        result = subprocess.run([self.build / "bin" / "rubato-worker", "--job", self.run.run_dir / "job.toml",
                                 "--run-dir", self.folder, "--scheduler", "ipc://@nobody", "--rank", "1"],
                                env=self.environment, text=True, capture_output=True, timeout=60)
        self.assertEqual(result.returncode, USAGE, result.stderr)
        self.assertIn("no scheduler address", result.stderr)


def may_mount():
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
