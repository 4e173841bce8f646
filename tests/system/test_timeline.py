"""The picture of a real run's steps: it can be read, and says of each step what happened in which order."""

import json
import subprocess
import sys
import unittest
from collections import defaultdict

import images
from run import LAUNCHER
from system_case import SystemCase, lane, main

STEPS = range(10, 30)


def end(event) -> int:
    return start(event) + round(event["dur"] * 1000)


def start(event) -> int:
    """In nanoseconds, as it was written: the picture has microseconds, with three digits behind the point."""
    return round(event["ts"] * 1000)


class Picture:
    def __init__(self, run):
        events = json.loads((run.run_dir / "timeline.json").read_text())["traceEvents"]
        self.spans = [event for event in events if event["ph"] == "X"]
        self.arrows = [event for event in events if event["ph"] in "stf"]
        self.processes = {event["args"]["name"]: event["pid"] for event in events if event["name"] == "process_name"}

    def of(self, node, category, clock=None):
        return [event for event in self.spans if event["pid"] == self.processes[node] and event["cat"] == category
                and clock in (None, event["args"]["clock"])]


class Timeline(SystemCase):
    def picture(self, job, *words, **settings) -> Picture:
        data = images.write(self.folder / "images", train=1200, test=20)
        run = self.train(job, "--trace", *words, train__steps=40, train__batch=64, **{**data, **settings})
        self.assertEqual(run.last_line, f"  timeline {run.run_dir}/timeline.json, for https://ui.perfetto.dev")  # no notes
        self.run_dir = run.run_dir
        return Picture(run)

    def assert_spans_nest(self, picture: Picture):
        threads = defaultdict(list)
        for event in picture.spans:
            threads[event["pid"], event["tid"]].append(event)
        for events in threads.values():
            around = []
            for event in sorted(events, key=lambda event: (start(event), -end(event))):
                while around and end(around[-1]) <= start(event):
                    around.pop()
                if around:
                    self.assertLessEqual(end(event), end(around[-1]), (event, around[-1]))
                around.append(event)

    def assert_steps_are_whole(self, picture: Picture, workers):
        for node in workers:
            self.assertEqual([event["args"]["clock"] for event in picture.of(node, "step")], list(STEPS))
            for clock in STEPS:
                layers = {event["name"] for event in picture.of(node, "forward", clock)}
                self.assertEqual(layers, {"forward fc1", "forward fc2", "forward fc3"})

    def test_what_a_step_is_made_of(self):
        picture = self.picture("fashion_mlp", "--workers", 2, "--servers", 2, "--mode", "ssp:3")
        self.assertEqual(set(picture.processes), {"worker-0", "worker-1", "server-0", "server-1", "scheduler"})
        self.assert_spans_nest(picture)
        self.assert_steps_are_whole(picture, ("worker-0", "worker-1"))
        overlaps = pushes = 0
        for node in ("worker-0", "worker-1"):
            for clock in STEPS:
                gradients = {event["name"].split()[1]: event for event in picture.of(node, "gradient", clock)}
                self.assertEqual(list(gradients), ["fc3", "fc2", "fc1"])
                for push in picture.of(node, "push", clock):
                    pushes += 1
                    # All that is in a slice of one layer's alone; of others the picture names the first.
                    layer = push["args"]["holds"].split(".")[0]
                    self.assertGreaterEqual(start(push), end(gradients[layer]), push)
                    overlaps += start(push) < start(gradients["fc1"]) < end(push)
        applied = sum(event["name"].startswith("apply ") for node in ("server-0", "server-1")
                      for event in picture.of(node, "received"))
        self.assertEqual(applied, pushes)
        self.assertEqual(len({event["id"] for event in picture.arrows if event["ph"] == "s"}), pushes)
        # Early pushing: some gradient was on its way while that of the first layer was still to be computed.
        self.assertGreater(overlaps, 0, f"of {pushes} pushes")

    def test_every_lane_and_several_shards(self):
        for name in ("ipc", "tcp"):
            with self.subTest(name):
                picture = self.picture("fashion_mlp", "--workers", 2, "--servers", 1, "--mode", "bsp",
                                       cluster__shard_threads=2, **lane(name))
                self.assert_spans_nest(picture)
                self.assert_steps_are_whole(picture, ("worker-0", "worker-1"))
                # The last of the pushes of a clock makes the update; the others are kept for it.
                applied, kept = ({event["name"].split()[1] for event in picture.of("server-0", "received")
                                  if event["name"].startswith(word)} for word in ("apply ", "keep "))
                self.assertEqual(applied, kept)

    def test_it_is_drawn_again_from_what_was_written(self):
        self.picture("quadratic", "--workers", 2)
        first = (self.run_dir / "timeline.json").read_text()
        (self.run_dir / "timeline.json").unlink()
        result = subprocess.run([sys.executable, LAUNCHER, "timeline", self.run_dir], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual((self.run_dir / "timeline.json").read_text(), first)

    def test_a_part_that_is_empty_or_cut_off_is_said_and_the_rest_is_drawn(self):
        """As a full disk leaves them."""
        self.picture("quadratic", "--workers", 2)
        parts = sorted((self.run_dir / "timeline").glob("*.jsonl"))
        whole = parts[-1].read_bytes()
        parts[-1].write_bytes(whole[:-20])
        parts[0].write_bytes(b"")
        command = [sys.executable, LAUNCHER, "timeline", self.run_dir]
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn(f"warning: {parts[0]}:1: it is empty", result.stdout)
        self.assertIn(f"warning: {parts[-1]}:{whole.count(bytes([10]))}: cut off", result.stdout)
        for part in parts:
            part.write_bytes(b"")
        result = subprocess.run(command, capture_output=True, text=True)
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr, "^rubato: error: nothing to draw in [^\n]*\n$")

    def test_of_a_short_job_all_steps_are_drawn(self):
        """Of one by epochs too, whose steps nobody counts before its data are read."""
        for settings in ({"train__steps": 4}, {"train__steps": 0, "train__epochs": 1, "data__samples": 128}):
            run = self.train("quadratic", "--trace", train__batch=16, **settings)
            self.assertNotIn("note: ", run.output[run.output.index("  timeline "):])
            self.assertEqual([event["args"]["clock"] for event in Picture(run).of("worker-0", "step")], [0, 1, 2, 3])

    def test_nothing_is_written_where_none_is_asked_for(self):
        run = self.train("quadratic", train__steps=3)
        self.assertFalse((run.run_dir / "timeline").exists())
        result = subprocess.run([sys.executable, LAUNCHER, "timeline", run.run_dir], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("was the job run with --trace?", result.stderr)


if __name__ == "__main__":
    main(at_once=1)
