"""bench/make_photos.py where numpy or PIL is missing: what it says helps the interpreter that runs it."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import make_photos  # noqa: E402


class Remedy(unittest.TestCase):
    def test_debians_own_takes_debians_packages(self):
        self.assertEqual(make_photos.remedy("/usr/bin/python3", "/usr"), "apt install python3-numpy python3-pil")

    def test_any_other_takes_pips_or_makes_way_for_debians(self):
        for interpreter, prefix in (("/root/.pyenv/versions/3.12.1/bin/python3", "/root/.pyenv/versions/3.12.1"),
                                    ("/home/me/venv/bin/python3", "/home/me/venv"), ("/usr/local/bin/python3", "/usr/local")):
            said = make_photos.remedy(interpreter, prefix)
            self.assertTrue(said.startswith(f"{interpreter} -m pip install numpy pillow; or apt install "), said)
            self.assertIn("run it with /usr/bin/python3", said)

    def test_it_is_called_as_the_pages_say_by_the_python_that_has_debians_packages(self):
        self.assertEqual((BENCH / "make_photos.py").read_text().splitlines()[0], f"#!{make_photos.DEBIANS}")
        for page in [*BENCH.parent.glob("docs/**/*.md"), *BENCH.glob("*.cc")]:
            self.assertNotIn("python3 bench/", page.read_text(), page)

    def test_it_is_said_by_who_has_neither(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "numpy.py").write_text("raise ImportError('none here')\n")
            result = subprocess.run([sys.executable, BENCH / "make_photos.py", folder], capture_output=True, text=True,
                                    env={"PYTHONPATH": folder})
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.strip(), "make_photos.py needs numpy and PIL (none here): "
                         + make_photos.remedy(sys.executable, sys.prefix))


if __name__ == "__main__":
    unittest.main()
