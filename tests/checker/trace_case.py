"""What the checker's tests share: traces as files, the checker on them, and lines to spoil."""

import contextlib
import copy
import io
import json
import os
import tempfile
import unittest

import check_trace


def text_of(lines):
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def check(setting, files):
    """Checks {file name: text}; returns the exit code and what was printed."""
    with tempfile.TemporaryDirectory() as folder:
        traces = os.path.join(folder, "trace")
        os.mkdir(traces)
        with open(os.path.join(folder, "run.json"), "w", encoding="utf-8") as file:
            json.dump(setting, file)
        for name, text in files.items():
            with open(os.path.join(traces, name), "w", encoding="utf-8") as file:
                file.write(text)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = check_trace.main([os.path.join(folder, "run.json"), traces])
        return code, output.getvalue()


def members(lines):
    """The lines as the member's files of a real run."""
    files = {}
    for line in lines:
        own = {key: value for key, value in line.items() if key != "seed"}
        name = line["node"] + ".jsonl"
        files[name] = files.get(name, "") + text_of([own])
    return files


def first(lines, **wanted):
    return next(line for line in lines if all(line.get(key) == value for key, value in wanted.items()))


def other(line, **changes):
    return {**copy.deepcopy(line), **changes}


def other_seed(lines, seed):
    return [other(line, seed=seed) for line in lines]


class TraceTest(unittest.TestCase):
    def passes(self, setting, files):
        code, output = check(setting, files)
        self.assertEqual(code, 0, output)
        self.assertIn("all hold", output)
        return output

    def caught(self, rule, setting, files, seed=None):
        code, output = check(setting, files)
        self.assertEqual(code, 1, output)
        self.assertIn(f"violation of `{rule}`", output)
        if seed is not None:
            self.assertIn(f"seed {seed}:", output)
        return output

    def spoiled(self, rule, setting, lines, *changes):
        """`changes`: functions that each spoil a fresh copy of the lines."""
        for change in changes:
            copies = copy.deepcopy(lines)
            change(copies)
            good = other_seed(lines, 100)
            with self.subTest(rule=rule, line=change.__code__.co_firstlineno):
                output = self.caught(rule, setting, {"all.jsonl": text_of(good + copies)}, seed=lines[0]["seed"])
                self.assertNotIn("seed 100:", output)
