"""Weights that PyTorch opens: what `scripts/rubato export` writes loads with `strict=True` into modules as people write
them, and they give the outputs that `predict` gives and the figures that `eval` gives; and back.

    exchange_test.py BUILD_DIR

The library safetensors comes from PyPI into BUILD_DIR/safetensors-venv, once. Where PyPI cannot be reached, or there
is no PyTorch, the test is skipped. Debian has no torchvision; where a Python has it (PyPI's), its own ResNets are loaded too.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from collections import OrderedDict
from pathlib import Path

from rubato_runs import ROOT, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pypi import install  # noqa: E402

SKIPPED = 77
REQUIREMENT = "safetensors"
CLASSES, SIDE, CHANNELS = 4, 28, 3
MEAN, DEVIATION = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
# Of outputs of about 1: a few hundred roundings of 6e-8.
CLOSE = 1e-5


try:
    import numpy
    import torch
    from networks import ResNet18, TransformerBlock
    from torch import nn
except ImportError:
    print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
    sys.exit(SKIPPED)
try:
    from safetensors.torch import load_file, save_file
except ImportError:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PYTHON = install(Path(sys.argv[1]) / "safetensors-venv", REQUIREMENT, "safetensors", with_system=True)
    if PYTHON is None or os.environ.get("RUBATO_EXCHANGE_AGAIN"):
        print("skipped: no safetensors")
        sys.exit(SKIPPED)
    os.execve(PYTHON, [str(PYTHON), *sys.argv], dict(os.environ, RUBATO_EXCHANGE_AGAIN="1"))

try:
    import torchvision
except ImportError:
    torchvision = None


# ---- the modules of docs/models.md, with images as PyTorch lays them

class Logistic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(CHANNELS * SIDE * SIDE, CLASSES)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(CHANNELS * SIDE * SIDE, 32)
        self.fc2 = nn.Linear(32, 16)
        self.fc3 = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x.flatten(1))))))


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, CLASSES)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1))))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.fc1 = nn.Linear(12 * 7 * 7, 20)
        self.fc2 = nn.Linear(20, CLASSES)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class Belief(nn.Module):
    """A deep belief network once its machines are trained: their visible biases are no part of it."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(CHANNELS * SIDE * SIDE, 24)
        self.fc2 = nn.Linear(24, 16)
        self.fc3 = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.fc3(torch.sigmoid(self.fc2(torch.sigmoid(self.fc1(x.flatten(1))))))


LISTED = ["stem: conv 6 stride=2 padding=1 bias=false", "batch_norm relu", "conv 6 padding=1", "group_norm 3", "gelu",
          "add batch_norm1 relu", "max_pool 3 stride=2 padding=1", "average_pool 2", "fc: dense 20 tanh", "dropout 0.25",
          "dense 4"]


class Listed(nn.Module):
    """LISTED, each part by the name of its line; those without weights need no name."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(CHANNELS, 6, 3, stride=2, padding=1, bias=False)
        self.batch_norm1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.group_norm1 = nn.GroupNorm(3, 6)
        self.fc = nn.Linear(6 * 3 * 3, 20)
        self.dense2 = nn.Linear(20, CLASSES)

    def forward(self, x):
        x = torch.relu(self.batch_norm1(self.stem(x)))
        x = torch.relu(x + nn.functional.gelu(self.group_norm1(self.conv2(x))))
        x = nn.functional.avg_pool2d(nn.functional.max_pool2d(x, 3, 2, 1), 2)
        return self.dense2(torch.tanh(self.fc(x.flatten(1))))


CHAIN = ["conv 6 relu", "max_pool 4", "dense 20", "sigmoid", "dense 4"]


def sequential():
    """A list in which each layer reads the one before is an nn.Sequential with the names of its lines."""
    return nn.Sequential(OrderedDict([
        ("conv1", nn.Conv2d(CHANNELS, 6, 3)), ("relu", nn.ReLU()), ("max_pool1", nn.MaxPool2d(4)),
        ("flatten", nn.Flatten()), ("dense1", nn.Linear(6 * 6 * 6, 20)), ("sigmoid1", nn.Sigmoid()),
        ("dense2", nn.Linear(20, CLASSES))]))


class ListedRows(nn.Module):
    """["gru 6 layers=2 bidirectional", "layer_norm", "tail: lstm 8 last", "dense 4"], of an image's rows."""

    def __init__(self):
        super().__init__()
        self.gru1 = nn.GRU(SIDE * CHANNELS, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.layer_norm1 = nn.LayerNorm(12)
        self.tail = nn.LSTM(12, 8, batch_first=True)
        self.dense1 = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.layer_norm1(self.gru1(x.permute(0, 2, 3, 1).flatten(2))[0])
        return self.dense1(self.tail(x)[0][:, -1])


class Recurrent(nn.Module):
    """Reads an image row by row: the columns and channels of a row are its features."""

    def __init__(self, kind, layers, both=False):
        super().__init__()
        self.rnn = kind(SIDE * CHANNELS, 24, num_layers=layers, batch_first=True, bidirectional=both)
        self.fc = nn.Linear(48 if both else 24, CLASSES)

    def forward(self, x):
        y, last = self.rnn(x.permute(0, 2, 3, 1).flatten(2))
        if not self.rnn.bidirectional:
            return self.fc(y[:, -1])
        last = last[0] if isinstance(last, tuple) else last  # an LSTM has its inner states, too
        return self.fc(torch.cat([last[-2], last[-1]], dim=1))


class Gpt(nn.Module):
    """As GPT-2 names its parts."""

    def __init__(self, positions=16, width=32, layers=2, heads=2):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(256, width), nn.Embedding(positions, width)
        self.h = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))
        self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, 256)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


NETWORKS = {
    "logistic": (Logistic, []),
    "mlp": (Mlp, ["model.hidden=[32, 16]", "model.activation=tanh"]),
    "lenet5": (LeNet5, []),
    "cnn": (Cnn, ["model.channels=[8, 12]", "model.dense=20"]),
    "resnet18": (lambda: ResNet18({"width": 8, "stem": "imagenet"}, CHANNELS, CLASSES),
                 ["model.width=8", "model.stem=imagenet"]),
    "lstm": (lambda: Recurrent(nn.LSTM, 2), ["model.width=24", "model.layers=2"]),
    "gru": (lambda: Recurrent(nn.GRU, 1), ["model.width=24"]),
    "lstm in both directions": (lambda: Recurrent(nn.LSTM, 1, True), ["model.width=24", "model.bidirectional=true"]),
    "gru in both directions": (lambda: Recurrent(nn.GRU, 2, True),
                               ["model.width=24", "model.layers=2", "model.bidirectional=true"]),
    # Numbers beyond 0 and 1 are nothing for its machines: three steps of them, and three with labels.
    "dbn": (Belief, ["model.hidden=[24, 16]", "model.pretrain_epochs=1", "data.mean=0", "data.stddev=1"]),
    "layers": (Listed, [f"model.network={json.dumps(LISTED)}"]),
    "layers chain": (sequential, [f"model.network={json.dumps(CHAIN)}"]),
    "layers rows": (ListedRows, ['model.network=["gru 6 layers=2 bidirectional", "layer_norm", "tail: lstm 8 last", "dense 4"]']),
}
# A dbn's images are not normalized.
PLAIN = {"dbn"}

JOB = f"""
[model]
name = "logistic"
[data]
kind = "npz"
path = "images.npz"
classes = {CLASSES}
mean = {MEAN}
stddev = {DEVIATION}
[optimizer]
name = "momentum"
rate = 0.05
[consistency]
mode = "bsp"
[cluster]
servers = 1
workers = 1
[train]
batch = 32
micro_batches = 1
steps = 6
[evaluation]
batch = 40
"""


def settings_of(name):
    """Of the job; behind a space stands which network of that name it is."""
    return [f"model.name={name.split()[0]}", *NETWORKS[name][1]]


def rubato(command, *words, expected=0):
    done = subprocess.run([ROOT / "scripts" / "rubato", command, *words, "--build-dir", BUILD], capture_output=True, text=True,
                          errors="replace")  # generated bytes need be no letters
    assert done.returncode == expected, f"{command} {words}: exit code {done.returncode}: {done.stderr}"
    return done.stdout if expected == 0 else done.stderr


class Exchange(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory(prefix="rubato-exchange-")
        cls.folder = Path(cls.holder.name)
        random = numpy.random.default_rng(1)
        arrays = {}
        for part, count in (("train", 192), ("test", 100)):
            labels = random.integers(0, CLASSES, count)
            images = random.integers(0, 160, (count, SIDE, SIDE, CHANNELS), dtype=numpy.uint8)
            for image, label in zip(images, labels):
                image[4 + 5 * label : 7 + 5 * label, :, label % CHANNELS] += 90  # where and in which colour
            arrays |= {f"{part}_images": images, f"{part}_labels": labels.astype(numpy.uint8)}
        numpy.savez(cls.folder / "images.npz", **arrays)
        cls.images, cls.labels = arrays["test_images"], arrays["test_labels"].astype(numpy.int64)
        numpy.save(cls.folder / "images.npy", cls.images)
        (cls.folder / "job.toml").write_text(JOB)
        inputs = (cls.images.astype(numpy.float32) / 255 - numpy.float32(MEAN)) / numpy.float32(DEVIATION)
        cls.inputs = torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())
        cls.plain = torch.from_numpy((cls.images.astype(numpy.float32) / 255).transpose(0, 3, 1, 2).copy())
        cls.runs = {}

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def trained(self, name, *more, run_dir=None):
        """The folder of a run of this network; each is trained once."""
        if run_dir is None and name in self.runs:
            return self.runs[name]
        folder = self.folder / (run_dir or name)
        run(self.folder / "job.toml", BUILD, folder, [*settings_of(name), *more])
        if run_dir is None:
            self.runs[name] = folder
        return folder

    def exported(self, name):
        path = self.folder / f"{name}.safetensors"
        rubato("export", self.trained(name), "--to", path)
        return path

    def scores(self, subject, *words):
        to = self.folder / "predictions.npz"
        rubato("predict", subject, "--input", self.folder / "images.npy", "--to", to, *words)
        with numpy.load(to, allow_pickle=False) as arrays:
            return arrays["class"], arrays["scores"]

    def module(self, name, path):
        module = NETWORKS[name][0]()
        module.load_state_dict(load_file(path), strict=True)
        return module.eval()

    def outputs_of(self, module, name=""):
        with torch.no_grad():
            return module(self.plain if name in PLAIN else self.inputs).numpy()

    def test_pytorch_gives_the_outputs_that_rubato_gives(self):
        for name in NETWORKS:
            with self.subTest(name):
                classes, scores = self.scores(self.trained(name))
                expected = self.outputs_of(self.module(name, self.exported(name)), name)
                self.assertGreater(numpy.abs(expected).max(), 0.1, "there is something to compare")
                numpy.testing.assert_allclose(scores, expected, rtol=CLOSE, atol=CLOSE)
                self.assertEqual(classes.tolist(), scores.argmax(1).tolist())

    def test_an_exported_file_predicts_as_the_run_does(self):
        """To the bit: it is the same weights."""
        for name in NETWORKS:
            with self.subTest(name):
                numpy.testing.assert_array_equal(self.scores(self.trained(name))[1], self.scores(self.exported(name))[1])

    def test_eval_gives_the_figures_that_pytorch_gives(self):
        module = self.module("cnn", self.exported("cnn"))
        outputs, labels = torch.from_numpy(self.outputs_of(module)), torch.from_numpy(self.labels)
        for subject in (self.trained("cnn"), self.exported("cnn")):
            figures = json.loads(rubato("eval", subject, "--json"))
            self.assertEqual(figures["test_samples"], len(self.labels))
            self.assertAlmostEqual(figures["test_loss"], float(nn.functional.cross_entropy(outputs, labels)), delta=CLOSE)
            self.assertAlmostEqual(figures["test_accuracy"], float((outputs.argmax(1) == labels).float().mean()), delta=1e-7)
        final = json.loads((self.trained("cnn") / "metrics.jsonl").read_text().splitlines()[-1])
        self.assertEqual(figures["test_loss"], final["test_loss"], "as the job itself has said")
        self.assertEqual(figures["details"], final["details"])

    def saved(self, name, precision=torch.float32):
        """A module that Rubato has not seen, with running means that are not those of a new one; and its file."""
        torch.manual_seed(7)
        module = NETWORKS[name][0]()
        module.train()
        with torch.no_grad():
            module(self.inputs[:32])
        path = self.folder / f"{name}-{precision}.safetensors"
        save_file({key: value.to(precision) if value.is_floating_point() else value
                   for key, value in module.state_dict().items()}, path)
        rounded = {key: value.to(precision).to(value.dtype) for key, value in module.state_dict().items()}
        module.load_state_dict(rounded)
        return module.eval(), path

    def test_rubato_gives_the_outputs_that_pytorch_gives(self):
        precisions = {"cnn": (torch.float32, torch.float64, torch.float16, torch.bfloat16)}
        for name in NETWORKS:
            for precision in precisions.get(name, (torch.float32,)):
                with self.subTest(name, precision=precision):
                    module, path = self.saved(name, precision)
                    words = [word for setting in settings_of(name) for word in ("--set", setting)]
                    scores = self.scores(path, "--job", self.folder / "job.toml", *words)[1]
                    numpy.testing.assert_allclose(scores, self.outputs_of(module, name), rtol=CLOSE, atol=CLOSE)

    def test_training_begins_with_a_file_of_pytorchs(self):
        """Trained at a rate at which nothing moves. (Running means move at any.)"""
        for name in ("logistic", "mlp", "lenet5", "cnn", "lstm", "gru", "gru in both directions"):
            with self.subTest(name):
                module, path = self.saved(name)
                folder = self.trained(name, f"model.pretrained={path}", "optimizer.rate=1e-30", run_dir=f"{name}-still")
                numpy.testing.assert_allclose(self.scores(folder)[1], self.outputs_of(module), rtol=CLOSE, atol=CLOSE)

    @unittest.skipUnless(torchvision, "this Python has no torchvision")
    def test_torchvisions_own_modules_there_and_back(self):
        for name in ("resnet18", "resnet34", "resnet50"):
            with self.subTest(name):
                settings = [f"model.name={name}", "model.stem=imagenet"]
                run(self.folder / "job.toml", BUILD, self.folder / f"whole-{name}", [*settings, "train.steps=1"])
                path = self.folder / f"whole-{name}.safetensors"
                rubato("export", self.folder / f"whole-{name}", "--to", path)
                trained, fresh = (getattr(torchvision.models, name)(num_classes=CLASSES) for _ in range(2))
                trained.load_state_dict(load_file(path), strict=True)
                numpy.testing.assert_allclose(self.scores(path)[1], self.outputs_of(trained.eval()), rtol=CLOSE, atol=CLOSE)
                save_file(fresh.state_dict(), path)
                words = [word for setting in settings for word in ("--set", setting)]
                scores = self.scores(path, "--job", self.folder / "job.toml", *words)[1]
                numpy.testing.assert_allclose(scores, self.outputs_of(fresh.eval()), rtol=CLOSE, atol=CLOSE)

    def test_fine_tuning_skips_the_last_layer(self):
        module, path = self.saved("resnet18")
        weights = load_file(path)
        weights["fc.weight"], weights["fc.bias"] = torch.zeros(1000, 64), torch.zeros(1000)
        save_file(weights, path)
        folder = self.trained("resnet18", f"model.pretrained={path}", 'model.skip=["fc.*"]', "optimizer.rate=1e-30",
                              run_dir="fine")
        to = self.folder / "fine.safetensors"
        rubato("export", folder, "--to", to)
        tuned = load_file(to)
        self.assertEqual(tuned["fc.weight"].shape, (CLASSES, 64))
        self.assertGreater(float(tuned["fc.weight"].abs().max()), 0.01, "drawn")
        for key, value in module.state_dict().items():
            if not key.startswith("fc.") and ".running_" not in key and not key.endswith("num_batches_tracked"):
                # Zeros move by the rate, the others not at all.
                torch.testing.assert_close(tuned[key], value, rtol=0, atol=1e-25)

    def test_a_gpt_there_and_back(self):
        text = "".join(f"{number} times {number} is {number * number}. " for number in range(400)).encode()
        (self.folder / "text").write_bytes(text)
        job = self.folder / "gpt.toml"
        job.write_text(JOB.replace('"logistic"', '"gpt"\nwidth = 32\nlayers = 2\nheads = 2')
                       .replace('kind = "npz"\npath = "images.npz"', 'kind = "text"\npath = "text"\nwindow = 16')
                       .replace(f"classes = {CLASSES}", "classes = 256"))
        run(job, BUILD, self.folder / "gpt", ["optimizer.name=adam", "optimizer.rate=0.01", "data.test_fraction=0.1"])
        path, to = self.folder / "gpt.safetensors", self.folder / "text.npz"
        rubato("export", self.folder / "gpt", "--to", path)
        rubato("predict", self.folder / "gpt", "--part", "test", "--to", to)
        test = text[len(text) - round(len(text) * 0.1) :]  # in windows end to end, and the byte behind the last
        tokens = torch.tensor(list(test[: (len(test) - 1) // 16 * 16])).view(-1, 16)
        trained, fresh = Gpt(), Gpt()
        trained.load_state_dict(load_file(path), strict=True)
        save_file(fresh.state_dict(), path)
        for module, subject in ((trained, None), (fresh, path)):
            if subject:
                rubato("predict", subject, "--job", job, "--set", "data.test_fraction=0.1", "--part", "test", "--to", to)
            with torch.no_grad():
                expected = module(tokens).numpy()
            with numpy.load(to) as arrays:
                self.assertEqual(arrays["class"].shape, tuple(tokens.shape))
                numpy.testing.assert_allclose(arrays["scores"], expected, rtol=CLOSE, atol=CLOSE)
        lines = rubato("predict", self.folder / "gpt", "--part", "test").splitlines()
        self.assertTrue(lines[0].startswith("sample,source,class_0,class_1,"), lines[0])
        self.assertNotIn("score", lines[0])
        words = ["generate", self.folder / "gpt", "--prompt", "12 times", "--bytes", "40"]
        said = list(b"12 times")  # less than a window at first, and more than one in the end
        with torch.no_grad():
            for _ in range(40):
                seen = torch.tensor([said[-16:]])
                said.append(int(trained(seen)[0, -1].argmax()))
        self.assertEqual(rubato(*words, "--temperature", "0").rstrip("\n"), bytes(said).decode().rstrip("\n"))
        drawn = [rubato(*words, "--seed", seed) for seed in ("1", "1", "2")]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_probabilities(self):
        module = self.module("lenet5", self.exported("lenet5"))
        expected = torch.softmax(torch.from_numpy(self.outputs_of(module)), 1).numpy()
        numpy.testing.assert_allclose(self.scores(self.trained("lenet5"), "--probabilities")[1], expected, atol=CLOSE)


if __name__ == "__main__":
    BUILD = Path(sys.argv.pop(1)).resolve()
    torch.set_num_threads(1)
    unittest.main()
