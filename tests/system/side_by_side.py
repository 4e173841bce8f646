"""Runs the tests of a file some at a time, in as many processes, and says how long each took."""

import io
import multiprocessing
import sys
import time
import unittest
from collections.abc import Iterator


def names_in(suite: unittest.TestSuite) -> Iterator[str]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from names_in(test)
        else:
            yield test.id().removeprefix("__main__.")


def load(names: list[str] | None = None) -> unittest.TestSuite:
    program = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    return loader.loadTestsFromNames(names, program) if names else loader.loadTestsFromModule(program)


def run_one(name: str) -> tuple[bool, str]:
    """Whether it passed, and a line; more than that where unittest says more than that all is well: who was skipped, and
    why, too."""
    began, said = time.monotonic(), io.StringIO()
    result = unittest.TextTestRunner(said, verbosity=2).run(load([name]))
    more = "" if result.wasSuccessful() and not result.skipped else "\n" + said.getvalue()
    return result.wasSuccessful(), f"{time.monotonic() - began:6.1f} s {name}{more}"


def run(at_once: int) -> bool:
    """Whether all tests of the program pass."""
    passed = True
    # Forked, so that none of them has to read the program again: that would be half of what short tests compute.
    with multiprocessing.get_context("fork").Pool(at_once) as pool:
        for ok, said in pool.imap_unordered(run_one, list(names_in(load()))):
            print(said, flush=True)
            passed &= ok
    return passed
