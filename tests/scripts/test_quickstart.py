"""scripts/quickstart.sh, in a copy of the repository whose setup, build and launcher are made up."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

LAUNCHER = """#!/bin/sh
echo "in $PWD: $0 $*" >&2
"""


class Quickstart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.root = self.folder / "rubato"
        tools = self.folder / "tools"
        (self.root / "scripts").mkdir(parents=True)
        tools.mkdir()
        for name in ("quickstart.sh", "lib.sh"):
            shutil.copy(SCRIPTS / name, self.root / "scripts")
        nothing = "#!/bin/sh\n"
        for path, text in ((self.root / "scripts/setup.sh", nothing), (self.root / "scripts/rubato", LAUNCHER),
                           (tools / "cmake", nothing), (tools / "ninja", nothing)):
            path.write_text(text)
            path.chmod(0o755)
        self.environment = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}")

    def start(self, *words, cwd):
        done = subprocess.run([self.root / "scripts/quickstart.sh", *words], cwd=cwd, env=self.environment, text=True,
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_from_the_root_paths_are_short(self):
        done = self.start(cwd=self.root)
        self.assertRegex(done.stderr, f"^in {self.root}: scripts/rubato train jobs/fashion_cnn.toml .* --run-dir runs/quickstart-")
        self.assertIn("\n  scripts/rubato train --help", done.stdout)

    def test_settings_are_from_where_one_stands(self):
        done = self.start("--set", "data.path=mine", cwd=self.folder)
        root = self.root
        self.assertRegex(done.stderr, f"^in {self.folder}: {root}/scripts/rubato train {root}/jobs/fashion_cnn.toml .*"
                                      f" --run-dir {root}/runs/quickstart-.* --set data.path=mine\n$")
        self.assertIn(f"\n  {root}/scripts/rubato train --help", done.stdout)


if __name__ == "__main__":
    unittest.main()
