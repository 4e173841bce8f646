"""The memory that the launcher holds for its servers: what a next life is given of it, and what is let go."""

import os
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from rubato_cli.held_memory import MAGIC, HeldMemory  # noqa: E402: after the path is set


def enter(descriptor, shards, entered):
    os.pwrite(descriptor, struct.pack("<QII", MAGIC, shards, entered), 0)


class Held(unittest.TestCase):
    def setUp(self):
        self.held = HeldMemory()
        self.addCleanup(self.held.close)

    def test_each_life_gets_new_memory_and_what_is_left_of_the_others(self):
        words, descriptors = self.held.arguments()
        self.assertEqual(words, ["--held", str(descriptors[0])])
        first = descriptors[0]
        enter(first, 2, 2)
        words, descriptors = self.held.arguments()
        self.assertEqual(words, ["--held", str(descriptors[0]), "--remains", str(first)])
        self.assertEqual(descriptors[1:], (first,))

    def test_what_a_newer_life_has_all_of_is_let_go(self):
        first = self.held.arguments()[1][0]
        enter(first, 2, 2)
        second = self.held.arguments()[1][0]
        enter(second, 2, 1)
        self.held.let_go()
        self.assertEqual(len(self.held), 2, "one shard of two is not all")
        third = self.held.arguments()[1][0]
        self.assertEqual(self.held.arguments()[0][2:], ["--remains", f"{third},{second},{first}"])
        enter(third, 2, 2)
        self.held.let_go()
        self.assertEqual(len(self.held), 2)
        for gone in (first, second):
            with self.assertRaises(OSError):
                os.fstat(gone)

    def test_what_is_no_root_is_none(self):
        descriptor = self.held.arguments()[1][0]
        os.pwrite(descriptor, b"something else entirely", 0)
        self.held.arguments()
        self.held.let_go()
        self.assertEqual(len(self.held), 2)


if __name__ == "__main__":
    unittest.main()
