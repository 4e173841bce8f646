"""Images decoded, cut out and resized as PIL does it, which torchvision's transforms call.

Usage: pictures_test.py PRINT_PICTURES
"""

import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import numpy
    from PIL import Image
except ImportError as missing:
    print(f"skipped: {missing}: scripts/setup.sh --test installs it")
    sys.exit(77)

PROGRAM = sys.argv.pop() if len(sys.argv) > 1 else ""

# PIL rounds to whole numbers twice, after each direction, by at most 1/2 each; a mean of rounded numbers is no further
# off than they are. Its weights have 22 bits, so a sum of them is off by less than 1/100.
ROUNDED_TWICE = 1.01
# Where PIL computes with floats there is nothing but float32's own rounding, of some tens of products of 65535 at most.
IN_FLOATS = 65535 * 64 * 2.0**-24


def scene(width: int, height: int, seed: int) -> numpy.ndarray:
    """Slopes, edges and noise: what resizing and JPEG each find hard."""
    source = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    layers = [127 + 90 * numpy.sin(x / (5 + c) + y / 17) + 30 * ((x // 9 + y // 7) % 2) for c in range(3)]
    return numpy.clip(numpy.stack(layers, 2) + source.normal(0, 8, (height, width, 3)), 0, 255).astype("uint8")


class Pictures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def ours(self, path: Path, channels: int, size: int, *view) -> numpy.ndarray:
        command = [PROGRAM, path, channels, size, *view]
        result = subprocess.run(list(map(str, command)), capture_output=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return numpy.frombuffer(result.stdout, "float32").reshape(size, size, channels)

    def assert_near(self, got: numpy.ndarray, image: Image.Image, bound: float) -> None:
        right = numpy.asarray(image, dtype="float64").reshape(got.shape)
        difference = numpy.abs(got - right)
        self.assertLessEqual(difference.max(), bound)
        # PIL's rounding is as often up as down.
        self.assertLessEqual(abs((got - right).mean()), bound / 8)

    @staticmethod
    def centre(image: Image.Image, resize: int, size: int) -> Image.Image:
        """torchvision's Resize(resize) and CenterCrop(size)."""
        width, height = image.size
        short = min(width, height)
        resized = image.resize((resize * width // short, resize * height // short), Image.BILINEAR)
        left, top = (round((side - size) / 2) for side in resized.size)
        return resized.crop((left, top, left + size, top + size))

    def write(self, name: str, image: Image.Image, **options) -> tuple[Path, Image.Image]:
        path = self.folder / name
        image.save(path, **options)
        with Image.open(path) as written:
            written.load()
        return path, written

    def test_evaluation_is_resize_and_centre_crop(self):
        for width, height, resize, size in ((500, 375, 256, 224), (375, 500, 73, 64), (90, 301, 256, 224), (64, 64, 64, 64)):
            image = Image.fromarray(scene(width, height, 1))
            for name, options in (("a.png", {}), ("a.jpg", {"quality": 90}), ("p.jpg", {"progressive": True})):
                path, written = self.write(name, image, **options)
                with self.subTest(file=name, width=width, height=height):
                    self.assert_near(self.ours(path, 3, size, "center", resize),
                                     self.centre(written.convert("RGB"), resize, size), ROUNDED_TWICE)

    def test_training_is_crop_and_resize(self):
        source = random.Random(1)
        image = Image.fromarray(scene(400, 300, 2))
        path, written = self.write("a.jpg", image, quality=92)
        for _ in range(12):
            width, height = source.randint(20, 400), source.randint(20, 300)
            left, top = source.randint(0, 400 - width), source.randint(0, 300 - height)
            size = source.choice((32, 100, 224))
            right = written.convert("RGB").crop((left, top, left + width, top + height)).resize((size, size), Image.BILINEAR)
            self.assert_near(self.ours(path, 3, size, "box", top, left, height, width), right, ROUNDED_TWICE)

    def test_decoding_is_exact(self):
        """At its own size an image comes out as PIL decodes it, whatever form it has."""
        image = Image.fromarray(scene(40, 40, 3))
        gray = image.convert("L")
        files = {
            "rgb.png": (image, {}), "gray.png": (gray, {}), "palette.png": (image.quantize(64), {}),
            "alpha.png": (image.convert("RGBA"), {}), "gray_alpha.png": (gray.convert("LA"), {}),
            "one_bit.png": (gray.convert("1"), {}), "rgb.jpg": (image, {"quality": 80}), "gray.jpg": (gray, {}),
            "whole_colours.jpg": (image, {"subsampling": 0}), "few_colours.jpg": (image, {"subsampling": 1}),
            "inks.jpg": (image.convert("CMYK"), {"quality": 90}),
        }
        for name, (picture, options) in files.items():
            path, written = self.write(name, picture, **options)
            with self.subTest(file=name):
                self.assert_near(self.ours(path, 3, 40, "center", 40), written.convert("RGB"), 0.0)

    def test_16_bits_stay_16(self):
        numbers = (scene(301, 200, 4)[:, :, 0].astype("uint16") * 257) ^ 0x15
        path, _ = self.write("wide.png", Image.fromarray(numbers))
        self.assertGreater(len(numpy.unique(numbers % 256)), 100)
        right = self.centre(Image.fromarray(numbers.astype("float32")), 100, 96)
        self.assert_near(self.ours(path, 1, 96, "center", 100), right, IN_FLOATS)


if __name__ == "__main__":
    unittest.main()
