"""report.html in a headless browser, and its figures' data against the metrics. Usage: test_report.py [ARGUMENT of unittest...]

Without Chromium (scripts/setup.sh --test installs it) what needs a browser is skipped.
"""

import json
import re
import sys
import unittest
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import browser
from lab_case import HERE, SKIPPED, LabCase

GRID = ("--grid", "optimizer.rate=0.1,0.2", "--modes", "bsp,ssp:1,asp", "--stragglers", "none,persistent:4x",
        "--seeds", 2, "--workers", 4)
NEEDS_BROWSER = unittest.skipUnless(browser.find(), "there is no chromium: run scripts/setup.sh --test")


class Scripts(HTMLParser):
    """The JSON in a page, by the id of its element."""

    def __init__(self, page):
        super().__init__()
        self.found, self._id = {}, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self._id = attributes.get("id") if tag == "script" and attributes.get("type") == "application/json" else None

    def handle_data(self, data):
        if self._id:
            self.found[self._id] = json.loads(data)

    def handle_endtag(self, tag):
        self._id = None


class Report(LabCase):
    def setUp(self):
        super().setUp()
        self.compare(*GRID)
        self.page = (self.out / "report.html").read_text()
        self.data = Scripts(self.page).found

    def lines(self, mode, stragglers, seed):
        name = f"{mode.replace(':', '-')}_{stragglers.replace(':', '-')}_0.1_seed{seed}"
        text = next(self.out.glob(f"runs/{name}-*/metrics.jsonl")).read_text()
        return [json.loads(line) for line in text.splitlines()]

    def points(self, mode, stragglers, field, x_of, *events):
        """The curve over two seeds, worked out here from the files."""
        seeds = []
        for seed in (1, 2):
            lines = self.lines(mode, stragglers, seed)
            began = lines[0]["time_s"]
            seeds.append([(x_of(line, began), line[field]) for line in lines if line["event"] in events])
        return [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, min(a[1], b[1]), max(a[1], b[1])) for a, b in zip(*seeds)]

    def assert_curves(self, figure, field, x_of, *events, stragglers):
        series = {entry["name"].removesuffix(" (0.1)"): entry["points"] for entry in self.data[f"data-{figure}"]["series"]}
        self.assertEqual(list(series), ["bsp", "ssp:1", "asp"])
        for mode, drawn in series.items():
            wanted = self.points(mode, stragglers, field, x_of, *events)
            self.assertEqual(len(drawn), len(wanted))
            for one, other in zip(drawn, wanted):
                for a, b in zip(one, other):
                    self.assertAlmostEqual(a, b, places=9)

    def test_curves_show_the_metrics(self):
        reached = lambda line, began: line["reached_s"] - began
        updates = lambda line, _: line["updates"]
        for prefix, stragglers in (("none", "none"), ("persistent-4x", "persistent:4x")):
            self.assert_curves(f"{prefix}-accuracy-time", "test_accuracy", reached, "evaluation", "final", stragglers=stragglers)
            self.assert_curves(f"{prefix}-accuracy-updates", "test_accuracy", updates, "evaluation", "final", stragglers=stragglers)
            self.assert_curves(f"{prefix}-loss-time", "train_loss", lambda line, began: line["time_s"] - began, "progress",
                               stragglers=stragglers)
            self.assert_curves(f"{prefix}-loss-updates", "train_loss", updates, "progress", stragglers=stragglers)

    def test_the_grid_shows_the_metrics(self):
        figure = self.data["data-none-grid-0"]
        for entry in figure["series"]:
            self.assertEqual([point[0] for point in entry["points"]], [0.1, 0.2])
            for rate, drawn, least, most in entry["points"]:
                name = f"{entry['name'].replace(':', '-')}_none_{rate}_seed1001"
                final = json.loads(next(self.out.glob(f"runs/{name}-*/metrics.jsonl")).read_text().splitlines()[-1])
                self.assertEqual([drawn, least, most], [final["test_accuracy"]] * 3)

    def test_ages_show_the_metrics(self):
        for entry in self.data["data-none-ages"]["histograms"]:
            counts = {}
            for seed in (1, 2):
                for age, count in self.lines(entry["name"].removesuffix(" (0.1)"), "none", seed)[-1]["ages"]:
                    counts[age] = counts.get(age, 0) + count
            for low, high, count in entry["bins"]:
                self.assertEqual(count, sum(counts.get(age, 0) for age in range(low, high + 1)))
            self.assertEqual(sum(count for _, _, count in entry["bins"]), sum(counts.values()))

    def test_waits_show_the_metrics(self):
        finals = [self.lines("bsp", "persistent:4x", seed)[-1] for seed in (1, 2)]
        matrix = self.data["data-persistent-4x-waits"]["matrices"][0]
        seconds = {(waiting, culprit): value for waiting, culprit, value in matrix["seconds"]}
        self.assertEqual(set(seconds), {(f"worker-{rank}", "worker-0") for rank in (1, 2, 3)})
        for (waiting, culprit), value in seconds.items():
            wanted = [entry[2] for final in finals for entry in final["waits"] if entry[:2] == [waiting, culprit]]
            self.assertAlmostEqual(value, sum(wanted) / 2)

        timeline = self.data["data-persistent-4x-timeline"]
        low, high = timeline["window"]
        lines = self.lines("bsp", "persistent:4x", 1)
        began = lines[0]["time_s"]
        wanted = [[line["worker"], line["for"], line["from_s"] - began, line["to_s"] - began] for line in lines
                  if line["event"] == "wait" and line["to_s"] - began > low and line["from_s"] - began < high]
        self.assertTrue(wanted)
        self.assertEqual(timeline["panels"][0]["waits"], wanted)
        self.assertEqual(timeline["panels"][2]["note"], "nobody waited for anybody")
        self.assertEqual(timeline["panels"][0]["idle"],
                         "of all workers' time, 30% for each other, 0% for weights and messages, 0% done early")
        self.assertEqual(matrix["note"], "messages 0%, done early 0%")

    def test_nothing_is_fetched(self):
        self.assertEqual(re.findall(r"(?:src|href)\s*=", self.page), [])
        self.assertEqual(set(re.findall(r"https?://[^\s\"'<]+", self.page)), {"http://www.w3.org/2000/svg"})
        self.assertNotIn("@import", self.page)
        self.assertNotIn("fetch(", self.page)

    def test_words_table_and_jobs_are_there(self):
        self.assertIn("With persistent:4x, asp (0.1) was the first to reach", self.page)
        self.assertIn("Without stragglers, ", self.page)
        self.assertEqual(self.page.count("<details>"), 6)
        self.assertIn('mode = &quot;ssp:1&quot;', self.page)
        self.assertEqual(len(re.findall(r"<tr", self.page.partition('id="table"')[2].partition("</table>")[0])), 7)

    def test_every_figure_is_an_svg_file_too(self):
        figures = sorted(key.removeprefix("data-") for key in self.data)
        self.assertEqual(sorted(path.stem for path in (self.out / "figures").glob("*.svg")), figures)
        self.assertEqual(len(figures), 16)
        for path in (self.out / "figures").glob("*.svg"):
            self.assertTrue(ElementTree.fromstring(path.read_text()).tag.endswith("svg"))

    def test_the_same_runs_give_the_same_report(self):
        self.compare(*GRID)
        self.assertEqual((self.out / "report.html").read_text(), self.page)

    @NEEDS_BROWSER
    def test_in_a_browser(self):
        probed = self.folder / "probed.html"
        probed.write_text(self.page.replace("</body>", f"<script>{(HERE / 'probe.js').read_text()}</script></body>"))
        for width, dark in ((1280, False), (1280, True), (500, False)):
            with self.subTest(width=width, dark=dark):
                found = Scripts(browser.dom(probed, width, dark=dark)).found
                self.assertEqual({key: value for key, value in found.items() if key != "probe"}, self.data)
                seen = found["probe"]
                self.assertLessEqual(seen["scrollWidth"], seen["width"], "the page is wider than the window")
                self.assertEqual(seen["spilled"], [], "text outside its figure")
                self.assertEqual(seen["overlaps"], [], "texts over each other")
                if width >= 1280:
                    self.assertEqual(seen["sideways"], [], "figures that have to be scrolled")
                self.assertEqual(seen["tabs"], [{"name": "no stragglers", "shown": ["section-0"]},
                                                {"name": "persistent:4x", "shown": ["section-1"]}])
                readouts = seen["readouts"]
                self.assertEqual(len(readouts), 16)
                self.assertRegex(readouts["none-accuracy-time"], r"seconds of training: .*bsp \(0\.1\)\d")
                self.assertRegex(readouts["none-grid-0"], r"optimizer.rate: 0\.1.*bsp\d")
                self.assertRegex(readouts["persistent-4x-timeline"], r"worker-\d waited [\d,]+ ms for worker-0")
                self.assertRegex(readouts["persistent-4x-waits"], r"waited [\d.]+ s for worker-")
                self.assertRegex(readouts["none-ages"], r"% of pushes")


class LongNames(LabCase):
    @NEEDS_BROWSER
    def test_labels_have_room(self):
        self.compare("--modes", "softsync:2,dssp:1..16,local:16+ssp:4", "--vary", "optimizer.age_scaling=none,inverse", "--grid",
                     "optimizer.rate=0.1,0.2", "--stragglers", "none,persistent:4x")
        probed = self.folder / "probed.html"
        page = (self.out / "report.html").read_text()
        probed.write_text(page.replace("</body>", f"<script>{(HERE / 'probe.js').read_text()}</script></body>"))
        seen = Scripts(browser.dom(probed, 1280)).found["probe"]
        self.assertEqual((seen["overlaps"], seen["spilled"]), ([], []))


class Varied(LabCase):
    def test_figures_against_a_varied_key(self):
        self.compare("--modes", "bsp,asp", "--vary", "cluster.workers=2,4", "--vary", "optimizer.name=sgd,adam", "--seeds", 2)
        data = Scripts((self.out / "report.html").read_text()).found
        figure = data["data-none-varied-0"]
        self.assertTrue(figure["logarithmic"])
        self.assertEqual([entry["name"] for entry in figure["series"]], ["bsp, sgd", "bsp, adam", "asp, sgd", "asp, adam"])
        finals = [json.loads(next(self.out.glob(f"runs/asp_none_4_sgd_seed{seed}-*/metrics.jsonl")).read_text().splitlines()[-1])
                  for seed in (1, 2)]
        accuracies = [final["test_accuracy"] for final in finals]
        workers, drawn, least, most = figure["series"][2]["points"][1]
        self.assertEqual((workers, least, most), (4, min(accuracies), max(accuracies)))
        self.assertAlmostEqual(drawn, sum(accuracies) / 2)
        self.assertEqual([point[0] for point in data["data-none-varied-0-updates"]["series"][0]["points"]], [2, 4])
        self.assertNotIn("data-none-varied-1", data, "names make no axis")


if __name__ == "__main__":
    if not browser.find() and len(sys.argv) == 1:
        program = unittest.main(exit=False)
        sys.exit(SKIPPED if program.result.wasSuccessful() else 1)
    unittest.main()
