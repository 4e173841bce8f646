#!/usr/bin/python3
"""Writes JPEGs as large, and as hard to decode, as ImageNet's: 500 x 375 pixels, about 110 KB each, in ten classes.

Usage: bench/make_photos.py FOLDER [--count 400] [--width 500] [--height 375]

What is in them is noise whose strength falls with its frequency, as it does in photographs: their entropy decides how
long decoding takes. Needs numpy and PIL: Debian's python3-numpy and python3-pil for /usr/bin/python3, pip's numpy and
pillow for any other one.
"""

import argparse
import sys
from pathlib import Path

try:
    import numpy
    from PIL import Image
except ImportError as error:  # said in main, so that --help works without
    missing = error
else:
    missing = None

DEBIANS = "/usr/bin/python3"
CLASSES = 10
QUALITY = 92


def photo(width: int, height: int, seed: int) -> "Image.Image":
    source = numpy.random.default_rng(seed)
    y, x = numpy.meshgrid(numpy.fft.fftfreq(height), numpy.fft.rfftfreq(width), indexing="ij")
    falling = 1.0 / numpy.maximum(numpy.hypot(x, y), 1.0 / max(width, height)) ** 1.2
    gray, *colours = (numpy.fft.irfft2(numpy.fft.rfft2(source.normal(size=(height, width))) * falling, (height, width))
                      for _ in range(4))
    planes = [gray / gray.std() + 0.4 * colour / colour.std() for colour in colours]
    return Image.fromarray(numpy.clip(128 + 50 * numpy.stack(planes, 2), 0, 255).astype("uint8"))


def remedy(interpreter: str, prefix: str) -> str:
    """How this interpreter comes by what is missing: apt's packages are for Debian's own alone, and no environment sees
    them, not even one that was made with it."""
    apt = "apt install python3-numpy python3-pil"
    if prefix == "/usr":
        return apt
    return f"{interpreter} -m pip install numpy pillow; or {apt}, and run it with {DEBIANS}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--height", type=int, default=375)
    options = parser.parse_args()
    if missing:
        sys.exit(f"make_photos.py needs numpy and PIL ({missing}): {remedy(sys.executable, sys.prefix)}")
    for number in range(options.count):
        path = options.folder / f"class{number % CLASSES}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(options.width, options.height, number).save(path, quality=QUALITY)
    sizes = [path.stat().st_size for path in options.folder.rglob("*.jpg")]
    print(f"{len(sizes)} images of {sum(sizes) / len(sizes) / 1000:.0f} KB")


if __name__ == "__main__":
    main()
