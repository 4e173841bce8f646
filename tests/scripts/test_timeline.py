"""The picture of a run's steps, of made-up times (scripts/rubato_timeline)."""

import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from rubato_cli.failure import Failure  # noqa: E402
from rubato_timeline.draw import draw  # noqa: E402
from rubato_timeline.layers import layers  # noqa: E402
from rubato_timeline.rows import into_rows  # noqa: E402

SLICES = ["fc2.weight[0..8)", "fc1.bias[0..2) fc1.weight[0..8)"]


def span(what, begin, end, clock=10, lane="loop", **more):
    return {"lane": lane, "what": what, "clock": clock, "begin": begin, "end": end, **more}


def a_push(slice_id, sent, applied, acknowledged, back):
    """A worker's and a server's spans of one push, on one clock."""
    worker = [span("call", sent - 1, sent + 1),
              span("sent", sent, sent, of="push", slice=slice_id, peer="server-0"),
              span("received", acknowledged, acknowledged + 1, of="ack", slice=slice_id, peer="server-0"),
              span("received", back, back + 1, clock=11, of="weights", slice=slice_id, peer="server-0")]
    server = [span("received", applied, applied + 2, of="push", slice=slice_id, peer="worker-0", applied=True),
              span("sent", applied + 1, applied + 1, of="ack", slice=slice_id, peer="worker-0"),
              span("sent", applied + 2, applied + 2, clock=11, of="weights", slice=slice_id, peer="worker-0")]
    return worker, server


class Timeline(unittest.TestCase):
    def setUp(self):
        self.run_dir = Path(tempfile.mkdtemp(prefix="rubato-timeline-"))
        self.addCleanup(shutil.rmtree, self.run_dir, ignore_errors=True)

    def write(self, node, spans, clock="here", shift=0, left_out=0, slices=(), first=10, steps=20):
        folder = self.run_dir / "timeline"
        folder.mkdir(exist_ok=True)
        head = {"node": node, "clock": clock, "first": first, "steps": steps, "lanes": ["loop"], "left_out": left_out,
                "slices": list(slices)}
        moved = [{**each, "begin": each["begin"] + shift, "end": each["end"] + shift} for each in spans]
        (folder / f"{node}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [head, *moved]))

    def events(self):
        path, self.notes = draw(self.run_dir)
        return json.loads(path.read_text())["traceEvents"]

    def named(self, name):
        found = [event for event in self.events() if event["name"] == name and event["ph"] == "X"]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def test_a_push_goes_from_its_worker_to_its_update_and_comes_back_as_weights(self):
        worker, server = a_push(0, sent=2000, applied=5000, acknowledged=8000, back=9000)
        forward = span("forward", 1000, 1500, lane="compute", of="fc1")
        self.write("worker-0", [forward, *worker], slices=SLICES)
        self.write("server-0", server)
        self.assertEqual(self.named("forward fc1")["dur"], 0.5)
        self.assertEqual(self.named("forward fc1")["ts"], 0)
        self.assertEqual(self.named("apply fc2.weight[0..8) of worker-0")["args"],
                         {"clock": 10, "slice": 0, "holds": "fc2.weight[0..8)"})
        self.assertEqual(self.named("send push fc2.weight[0..8)")["ts"], 0.999)
        under_way = self.named("push fc2.weight[0..8)")
        self.assertEqual((under_way["ts"], under_way["dur"]), (1, 6))
        arrow = [(event["ph"], event["pid"], event["ts"]) for event in self.events() if event.get("cat") == "flow"]
        self.assertEqual(arrow, [("s", 1, 1), ("t", 2, 4), ("f", 1, 8)])
        self.assertEqual(self.notes, [])

    def test_processes_and_threads_have_names(self):
        self.write("server-0", [span("received", 0, 1, of="push", slice=0, peer="worker-0")])
        self.write("worker-0", [span("step", 0, 1, lane="compute"), span("call", 0, 1)])
        self.write("scheduler", [span("received", 0, 1, of="tick", peer="worker-0")])
        names = {(event["pid"], event["tid"]): event["args"]["name"] for event in self.events()
                 if event["name"] in ("process_name", "thread_name")}
        # A process's name stands beside a thread that it does not have; no thread has the number of its process.
        self.assertEqual(names, {(1, 100000): "worker-0", (1, 100001): "compute", (1, 100002): "loop",
                                 (2, 200000): "server-0", (2, 200001): "loop",
                                 (3, 300000): "scheduler", (3, 300001): "loop"})

    def test_pushes_under_way_at_once_have_rows_of_their_own(self):
        first, taken = a_push(0, sent=2000, applied=5000, acknowledged=8000, back=9000)
        second, also = a_push(1, sent=3000, applied=6000, acknowledged=8500, back=9500)
        self.write("worker-0", first + second, slices=SLICES)
        self.write("server-0", taken + also)
        rows = [self.named(name)["tid"] for name in ("push fc2.weight[0..8)", "push fc1.bias[0..2) and 1 more")]
        self.assertNotEqual(*rows)
        self.assertEqual(into_rows([(5, 9), (0, 5), (1, 2), (2, 3), (4, 6)]), [0, 0, 1, 1, 1])

    def test_a_loop_hands_over_to_shards_with_threads(self):
        worker, server = a_push(0, sent=2000, applied=5000, acknowledged=8000, back=9000)
        handed = span("received", 4000, 4001, of="push", slice=0, peer="worker-0")
        server = [{**each, "lane": "server-0"} if each["what"] == "received" else each for each in server]
        self.write("worker-0", worker, slices=SLICES)
        self.write("server-0", [handed, *server])
        self.named("hand over push")
        step = next(event for event in self.events() if event["ph"] == "t")
        self.assertEqual((step["tid"], step["ts"]), (200001, (5000 - 1999) / 1000))  # in the shard's lane, not in the loop's

    def test_another_host_is_moved_until_its_fastest_messages_take_equally_long(self):
        worker, server = a_push(0, sent=2000, applied=5000, acknowledged=8001, back=9000)
        self.write("worker-0", worker, slices=SLICES)
        self.write("server-0", server, clock="there", shift=7_000_000_000)
        # 3000 there and 3000 back: the shift is found exactly.
        self.assertEqual(self.named("apply fc2.weight[0..8) of worker-0")["ts"], (5000 - 1999) / 1000)
        self.assertEqual(len(self.notes), 1)
        self.assertIn("clocks of several hosts were set by their messages", self.notes[0])

    def test_a_host_that_exchanged_nothing_is_left_out(self):
        worker, server = a_push(0, sent=2000, applied=5000, acknowledged=8000, back=9000)
        self.write("worker-0", worker, slices=SLICES)
        self.write("server-0", server)
        self.write("worker-1", [span("step", 7, 8, lane="compute")], clock="far away")
        self.assertNotIn("worker-1", json.dumps(self.events()))
        self.assertIn("1 process of other hosts exchanged nothing", self.notes[0])

    def test_a_table_says_how_long_layers_took(self):
        spans = []
        for clock, at in ((10, 0), (11, 10_000_000)):
            own = {"clock": clock, "lane": "compute"}
            spans += [span("step", at, at + 8_000_000, **own), span("forward", at, at + 1_000_000, of="fc1", **own),
                      span("undo", at + 1_000_000, at + 1_500_000, of="fc1", **own),
                      span("backward", at + 2_000_000, at + 6_000_000, of="conv1", **own),
                      span("wait", at + 2_000_000, at + 3_000_000, of="grant", **own)]
        self.write("worker-0", spans)
        heading, titles, *rows = layers(self.run_dir)
        self.assertEqual(heading, "worker-0, milliseconds a step, of 2 steps of 8.000")
        self.assertEqual(titles.split(), ["layer", "load", "forward", "undo", "gradient", "backward", "hand", "over", "all", "%"])
        self.assertEqual([row.split() for row in rows],
                         [["conv1", "-", "-", "-", "-", "4.000", "-", "4.000", "50.0"],
                          ["fc1", "-", "1.000", "0.500", "-", "-", "-", "1.500", "18.8"],
                          ["between", "them", "-", "-", "-", "-", "-", "-", "2.500", "31.2"]])

    def test_a_table_wants_a_workers_steps(self):
        self.assertRaisesRegex(Failure, "was the job run with --trace", layers, self.run_dir)
        self.write("server-0", [span("received", 0, 1, of="push", slice=0, peer="worker-0")])
        self.assertRaisesRegex(Failure, "no worker's steps", layers, self.run_dir)
        self.write("worker-0", [span("call", 0, 1)])
        self.assertRaisesRegex(Failure, "worker-0 drew no whole step", layers, self.run_dir)

    def test_what_is_missing_is_said(self):
        self.assertRaisesRegex(Failure, "was the job run with --trace", draw, self.run_dir)
        self.write("worker-0", [], left_out=3)
        self.events()
        self.assertIn("3 spans found no room", self.notes[0])
        self.assertIn("it is empty: no worker did step 10, where it would begin", self.notes[1])

    def test_of_a_job_by_epochs_the_last_steps_are_drawn_where_there_are_few(self):
        """How many there are is known at its end alone: processes keep the first ones as well."""
        self.run_dir.joinpath("job.toml").write_text("[train]\ntimeline = 3\n")
        for steps, drawn in ((2, [0, 1]), (5, [2, 3, 4]), (12, [9, 10, 11]), (13, [10, 11, 12]), (40, [10, 11, 12])):
            kept = [span("step", 10 * clock, 10 * clock + 5, clock=clock, lane="compute") for clock in range(min(steps, 13))]
            self.write("worker-0", kept, first=0, steps=13)
            self.write("server-0", [span("received", 7, 8, clock=steps, of="pull", peer="worker-0")], first=0, steps=13)
            with self.subTest(steps):
                self.assertEqual([event["args"]["clock"] for event in self.events() if event["name"].startswith("step")], drawn)
                self.assertEqual(self.notes, [])
                self.assertRegex(layers(self.run_dir)[0], f"of {len(drawn)} steps")

    def file_of(self, node):
        return self.run_dir / "timeline" / f"{node}.jsonl"

    def test_a_part_that_a_full_disk_cut_off_is_drawn_as_far_as_it_is_whole(self):
        self.write("worker-0", [span("step", 0, 1000, lane="compute"), span("forward", 0, 500, lane="compute", of="fc1")])
        file = self.file_of("worker-0")
        file.write_text(file.read_text()[:-20])
        names = [event["name"] for event in self.events() if event["ph"] == "X"]
        self.assertEqual(len(names), 1, names)
        self.assertEqual(len(self.notes), 1)
        self.assertRegex(self.notes[0], r"^warning: \S*/timeline/worker-0\.jsonl:3: cut off")

    def test_a_part_without_a_whole_first_line_is_left_out(self):
        for text, why in (("", "it is empty"), ('{"node": "ser', "cut off"), ("[1]\n", "damaged"), ('{"node": "x"}\n', "damaged")):
            self.write("worker-0", [span("step", 0, 1000, lane="compute")])
            self.write("server-0", [])
            self.file_of("server-0").write_text(text)
            self.assertNotIn("server-0", json.dumps(self.events()))
            self.assertEqual(len(self.notes), 1, self.notes)
            self.assertRegex(self.notes[0], rf"^warning: \S*/timeline/server-0\.jsonl:1: .*{why}")

    def test_where_nothing_can_be_read_there_is_nothing_to_draw(self):
        self.write("server-0", [])
        self.file_of("server-0").write_text("")
        with self.assertRaises(Failure) as raised:
            draw(self.run_dir)
        self.assertRegex(str(raised.exception), r"^nothing to draw in \S*timeline; \S*server-0\.jsonl:1: it is empty")
        self.assertNotIn("\n", str(raised.exception))
        self.file_of("server-0").unlink()
        self.assertRaisesRegex(Failure, "nothing to draw", draw, self.run_dir)


if __name__ == "__main__":
    unittest.main()
