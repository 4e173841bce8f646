"""What of the logs and of metrics.jsonl is worth a line on the screen, in the order in which it happened."""

import re

from .log_file import LogLine
from .metrics import MetricsFile
from .processes import Child, Processes
from .progress import Quiet
from .progress_lines import epoch_line, rules_line, server_line, stopped_line

LINES = epoch_line, stopped_line, rules_line, server_line
# Told once in a job, whoever says it: what breaks for one of them for want of memory or descriptors breaks for several.
TOLD_ONCE = re.compile(r"no shared memory with (?!.*its log says why$)|.*are copied from process to process: ")
NO_CAUSE = re.compile(r"no shared memory with .*its log says why$")
EXITED = re.compile(r"(\S+) exited with code \d+")  # all that the scheduler knows of a member that has said why


class News:
    """Reads the logs of all processes as they grow. `job_failed` once the scheduler has said why the job ends."""

    def __init__(self, processes: Processes, metrics: MetricsFile, progress: Quiet):
        self.job_failed = False
        self._processes = processes
        self._metrics = metrics
        self._progress = progress
        self._lost: str | None = None
        self._shown: dict[str, str] = {}  # what was said, and by whom
        self._stories: set[str] = set()  # what is told once, and was
        self._explained: set[str] = set()  # members that have said an error themselves

    def job_lost(self, node: str) -> None:
        """The job cannot go on without this process, and people know: what others say of that is left to their logs."""
        self._lost = self._lost or node

    def is_explained(self, child: Child) -> bool:
        """It has ended by itself, and has said why."""
        return child.return_code > 0 and child.node in self._explained

    def show(self) -> None:
        # The scheduler's log last: whoever repeats its words has done so after them.
        children = sorted(self._processes.children, key=lambda child: child.role == "scheduler")
        lines = [line for child in children for line in child.log.new_lines() if line.is_notable]
        for line in sorted(lines, key=lambda line: (line.time, line.node != "scheduler")):
            if self._is_news(line):
                self._progress.say(f"{line.level}: {line.node}: {line.text}")
            if line.is_error and line.node == "scheduler":
                self.job_failed = True
            elif line.is_error:
                self._explained.add(line.node)
        for record in self._metrics.new_records():
            if line := next(filter(None, (said(record) for said in LINES)), None):
                self._progress.say(line)

    def _is_news(self, line: LogLine) -> bool:
        """What happens to all of them is logged by all, each with its own name and seconds, and shown once. When the
        job has failed, only the cause is news."""
        gist = re.sub(r"[\d.]+", "#", line.text.replace(line.node, "it"))
        if self._shown.get(line.text) or self._shown.setdefault(gist, line.node) != line.node:
            return False
        if self.job_failed and line.node != "scheduler":
            return False
        ended = EXITED.match(line.text)
        if ended and line.is_error and line.node == "scheduler" and ended[1] in self._explained:
            return False
        if self._lost and line.node != self._lost:
            return False
        if line.level == "warning" and self._is_told_already(line.text):
            return False
        self._shown[line.text] = line.node
        return True

    def _is_told_already(self, text: str) -> bool:
        story = TOLD_ONCE.match(text)
        if not story:
            return bool(NO_CAUSE.match(text)) and bool(self._stories)
        told = story[0] in self._stories
        self._stories.add(story[0])
        return told
