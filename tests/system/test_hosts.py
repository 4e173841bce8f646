"""A job whose members are on two hosts, started by hand: only TCP between network namespaces joins them."""

import data_files
import two_hosts
from system_case import SystemCase, main

JOB = """
[model]
name = "mlp"
hidden = [64, 32]
[data]
kind = "npz"
path = "images.npz"
classes = 4
[optimizer]
name = "momentum"
rate = 0.1
[train]
epochs = 2
batch = 16
[consistency]
mode = "bsp"
[cluster]
servers = 2
workers = 2
slice_bytes = 4096
"""


class Hosts(SystemCase):
    def test_a_job_over_two_hosts_is_the_job_on_one(self):
        data_files.write_npz(self.folder / "images.npz", {"train": 320, "test": 60})
        job = self.folder / "job.toml"
        job.write_text(JOB)
        try:
            with two_hosts.TwoHosts() as hosts:
                metrics = hosts.train(self.build / "bin", job, self.folder / "over-hosts", [])
        except two_hosts.Unavailable as reason:
            self.skipTest(f"no network namespaces here: {reason}")
        here = self.train(job)
        self.assertEqual(metrics[-1]["event"], "final")
        self.assertEqual(metrics[-1]["weights_sha256"], here.final()["weights_sha256"])
        self.assertEqual(metrics[-1]["test_loss"], here.final()["test_loss"])


if __name__ == "__main__":
    main()
