"""What scripts/lib.sh says of a build, of which ninja and CMake are made up."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

FAKE_NINJA = """#!/bin/sh
echo "ninja: Entering directory \\`build'"
echo "targets: $*" >&2
for number in 1 2 3; do echo "${NINJA_STATUS:-[none] }Building CXX object some_$number.o" | sed "s/%f/$number/; s/%t/3/"; done
[ -z "$FAKE_ERROR" ] || { echo "FAILED: some_3.o"; echo "some.cc:3:1: error: $FAKE_ERROR"; exit 1; }
"""


class Building(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bin = Path(folder.name)
        for name, text in (("ninja", FAKE_NINJA), ("cmake", "#!/bin/sh\necho configured\n")):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def build(self, *targets, every_s=20, error=""):
        script = f'set -euo pipefail; source "{SCRIPTS}/lib.sh"; progress_every_s={every_s}; build_preset release "$@"'
        environment = dict(os.environ, PATH=f"{self.bin}:{os.environ['PATH']}", FAKE_ERROR=error)
        return subprocess.run(["bash", "-c", script, "build", *targets], env=environment, text=True, capture_output=True)

    def test_a_pipe_sees_now_and_then_how_far_it_is(self):
        done = self.build("rubato-sim", every_s=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^\n== building \(release\) in build/\nbuild: 1 of 3\nbuild: 2 of 3\nbuild: 3 of 3\n"
                                      r"built in \d+ s\n$")
        self.assertRegex(done.stderr, "targets: .* rubato-sim\n")

    def test_not_for_every_file(self):
        self.assertNotIn("build: ", self.build(every_s=1000).stdout)

    def test_errors_are_shown_and_end_it(self):
        done = self.build(error="expected ';'")
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAILED: some_3.o\nsome.cc:3:1: error: expected ';'\n", done.stdout)
        self.assertNotIn("built in", done.stdout)


if __name__ == "__main__":
    unittest.main()
