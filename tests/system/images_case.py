"""Jobs on a few small images that lie in the test's folder: a network that one worker trains in a second."""

import data_files
import images
from system_case import SystemCase

# Of a job file's [data].
IMAGES = """kind = "npz"
path = "images.npz"
classes = 4
mean = 0.3
stddev = 0.3"""


def mlp_job(*, hidden: list[int], optimizer: str, epochs: int, cluster: str = "") -> str:
    """One server and one worker, in bsp; `optimizer` and `cluster` are lines of those tables."""
    return f"""
[model]
name = "mlp"
hidden = {hidden}
[data]
{IMAGES}
[optimizer]
{optimizer}
[consistency]
mode = "bsp"
[cluster]
servers = 1
workers = 1
{cluster}
[train]
batch = 32
epochs = {epochs}
"""


class ImagesCase(SystemCase):
    """`self.job` is JOB."""

    JOB = ""
    SAMPLES = {"train": 128, "val": 30, "test": 60}

    def setUp(self):
        super().setUp()
        data_files.write_npz(self.folder / "images.npz", self.SAMPLES)
        self.job = self.folder / "job.toml"
        self.job.write_text(self.JOB)


class IdxCase(SystemCase):
    """Settings of a job of jobs/, which make it small: SMALL, and 250 images in idx files."""

    SMALL: dict = {}

    def setUp(self):
        super().setUp()
        self.images = images.write(self.folder / "images", train=250, test=50)

    def settings(self, **more):
        return {**self.SMALL, **self.images, **more}
