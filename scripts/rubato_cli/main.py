"""The command line: what may be typed, and how failures are told."""

import argparse
import difflib
import errno
import os
import re
import resource
import sys
from pathlib import Path

from rubato_lab.commands import add_commands
from rubato_timeline.draw import timeline

from .failure import PREFIX, ExitCode, Failure, reason
from .job import TRACED_STEPS
from .program import become
from .set_rules import set_rules
from .status import status
from .train import train

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # of a stream: it has no file name
REPOSITORY = Path(__file__).resolve().parents[2]

EPILOG = """\
examples:
  scripts/rubato train jobs/fashion_cnn.toml
  scripts/rubato status
  scripts/rubato set mode=ssp:8 rate=0.01
  scripts/rubato compare jobs/fashion_mlp.toml --modes bsp,ssp:4,asp --workers 8 --stragglers none,persistent:4x
  scripts/rubato explain runs/fashion_cnn-20250101-120000
  scripts/rubato simulate jobs/fashion_mlp.toml --workers 32 --mode ssp:4
  scripts/rubato eval runs/fashion_cnn-20250101-120000
  scripts/rubato predict runs/fashion_cnn-20250101-120000 --input images.npy --to predictions.csv
  scripts/rubato export runs/fashion_cnn-20250101-120000 --to cnn.safetensors
  scripts/rubato generate runs/licences_gpt-20250101-120000 --prompt 'You may '
  scripts/rubato train --help
"""

TRAIN_EPILOG = """\
examples:
  in lockstep, with one server and four workers
    scripts/rubato train jobs/fashion_mlp.toml --workers 4 --mode bsp
  workers up to three steps ahead of the slowest; another learning rate, twenty epochs
    scripts/rubato train jobs/fashion_cnn.toml --servers 2 --workers 2 --mode ssp:3 \\
        --set optimizer.rate=0.05 --set train.epochs=20
  no bound at all, into a directory of your choice
    scripts/rubato train jobs/fashion_lenet.toml --mode asp --run-dir runs/lenet-asp
  go on from weights of PyTorch's, with another last layer
    scripts/rubato train jobs/fashion_resnet18.toml --set model.pretrained=resnet18.safetensors \\
        --set 'model.skip=["fc.*"]'
  where does the time of a step go? 20 steps of every process, to be looked at in a browser
    scripts/rubato train jobs/fashion_mlp.toml --trace --set train.steps=100

Ctrl-C once ends the job in order, with evaluation and weights; twice kills it.

exit codes: 0 ok (also where a worker died and the others finished), 1 internal,
  2 usage or job file, 3 data, 4 network, 5 peer lost, 6 diverged, 7 device,
  8 storage, 9 refused, 13 memory, 130 interrupted
"""

STATUS_EPILOG = """\
examples:
  every running job of yours; of a single one, all of it
    scripts/rubato status
  one job: its workers, its servers, and who waits for whom
    scripts/rubato status runs/fashion_cnn-20250101-120000 --watch
  for programs
    scripts/rubato status runs/fashion_cnn-20250101-120000 --json
"""

SET_EPILOG = """\
examples:
  of the one job of yours that runs: workers at most 8 steps apart from now on
    scripts/rubato set mode=ssp:8
  a learning rate of 0.01; where the job has a schedule, it goes on from this instead of from optimizer.rate
    scripts/rubato set rate=0.01
  both at once, of one of several jobs
    scripts/rubato set runs/fashion_cnn-20250101-120000 mode=asp rate=0.005
  only ask: from which clock on would it be?
    scripts/rubato set mode=ssp:2 --dry-run
  come back when the last worker is there
    scripts/rubato set mode=ssp:2 --wait

Rules change at a clock: one above the highest step that any worker was granted. Below it the old ones hold, so
the slower workers run on to it under these; `status` says how many clocks they have to go. Above it nobody is granted
a step but under the new ones. No update is lost, and metrics.jsonl has a line for the change and one for the moment at
which all workers have come to it. Another change may follow at once. ssp:S, dssp:LO..HI and asp change into each other;
the rate changes in every mode.

exit codes: 0 set, 2 no such mode, rate or run, 5 the job is over or does not answer, 9 the job cannot change that now
"""


class Parser(argparse.ArgumentParser):
    """argparse, except that an error is one line."""

    def error(self, message: str):
        raise Failure(f"{message} (try {self.prog} --help)", ExitCode.USAGE)


def parse(words: list[str]) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="rubato", description="Trains neural networks on sharded parameter servers.",
                    epilog=EPILOG, formatter_class=formatter)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    command = commands.add_parser("train", help="run a job from its file to its weights",
                                  description="Runs one job on this machine.",
                                  epilog=TRAIN_EPILOG, formatter_class=formatter)
    command.add_argument("job", metavar="JOB.toml", help="the job file; jobs/ has examples")
    command.add_argument("--servers", metavar="M", help="server processes (cluster.servers)")
    command.add_argument("--workers", metavar="N", help="worker processes (cluster.workers)")
    command.add_argument("--mode", metavar="MODE",
                         help="bsp, backup:B, softsync:N, ssp:S, dssp:LO..HI, asp or local:H (consistency.mode)")
    command.add_argument("--seed", metavar="S", help="of weights and order of samples (train.seed)")
    command.add_argument("--record", action="store_true", help="keep what a replay needs (train.record): "
                                                               "rubato-sim --replay DIR repeats the run")
    command.add_argument("--trace", action="store_true",
                         help=f"draw {TRACED_STEPS} steps of every process (train.timeline): DIR/timeline.json, which "
                              "https://ui.perfetto.dev opens")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                         help="any key of the job file, for instance train.steps=5; may be repeated")
    command.add_argument("--run-dir", metavar="DIR", help="new or empty; default: runs/NAME-DATE-TIME")
    command.add_argument("--build-dir", metavar="DIR", default=str(REPOSITORY / "build"),
                         help="where Rubato was built (default: build)")
    command.add_argument("--no-progress", action="store_true", help="no display; warnings and the end only")
    command.set_defaults(run=train)

    add_program(commands, "simulate", "run a job in one process and in virtual time", "rubato-sim")
    add_program(commands, "export", "a run's weights for PyTorch", "rubato-weights", "export")
    add_program(commands, "eval", "what a run's weights, or a file's, come to on data", "rubato-weights", "eval")
    add_program(commands, "predict", "classes and scores of samples, by a run's weights or a file's", "rubato-weights",
                "predict")
    add_program(commands, "generate", "text, as a gpt goes on with it", "rubato-weights", "generate")

    command = commands.add_parser("status", help="how running jobs fare, and who waits for whom",
                                  description="Shows running jobs.",
                                  epilog=STATUS_EPILOG, formatter_class=formatter)
    command.add_argument("run_dir", nargs="?", metavar="RUN_DIR", help="one job; without it all of yours")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C or the end")
    command.set_defaults(run=status)

    command = commands.add_parser("set", help="another mode or learning rate for a running job",
                                  description="Changes the rules of a running job.",
                                  usage="rubato set [RUN_DIR] [mode=MODE] [rate=RATE] [--dry-run] [--wait]",
                                  epilog=SET_EPILOG, formatter_class=formatter)
    command.add_argument("words", nargs="*", metavar="mode=MODE, rate=RATE",
                         help="what to change; before it the run directory, where several jobs of yours are running")
    command.add_argument("--dry-run", action="store_true", help="say what would be, and change nothing")
    command.add_argument("--wait", action="store_true", help="until every worker is under the new rules")
    command.set_defaults(run=set_rules)

    command = commands.add_parser("timeline", help="draw again what a run with --trace has written",
                                  description="Makes RUN_DIR/timeline.json from RUN_DIR/timeline/*.jsonl. `train --trace` "
                                              "does that at its end; of a job over several hosts, copy what the others "
                                              "wrote into one folder first.")
    command.add_argument("run_dir", metavar="RUN_DIR")
    command.add_argument("--layers", action="store_true", help="print instead how long a worker's layers took")
    command.set_defaults(run=timeline)
    add_commands(commands, str(REPOSITORY / "build"))
    if not words:
        parser.print_help()
        raise Failure("which command?", ExitCode.USAGE)
    refuse_unknown_command(words[0], commands.choices)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        command = commands.choices[words[0]]
        options = re.findall(r"--[a-z-]+", command.format_usage())
        command.error(f"unknown argument {unknown[0]}{did_you_mean(unknown[0].split('=')[0], options)}")
    return arguments


def add_program(commands, name: str, what: str, program: str, *first: str) -> None:
    """A command whose words are those of another program, --help among them: none of them is an option here."""
    command = commands.add_parser(name, help=what, add_help=False, prefix_chars="\0")
    command.add_argument("words", nargs="*")
    command.set_defaults(run=lambda arguments: become(program, list(first), arguments.words, REPOSITORY / "build"))


def refuse_unknown_command(word: str, commands) -> None:
    if not word.startswith("-") and word not in commands:
        known = ", ".join(commands)
        raise Failure(f'unknown command "{word}"{did_you_mean(word, commands)} (there are {known})', ExitCode.USAGE)


def did_you_mean(word: str, known) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def open_standard_streams() -> None:
    """One that was closed (`>&-`) goes nowhere, and its number to no other file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))


def main(words: list[str]) -> int:
    open_standard_streams()
    try:
        arguments = parse(words)
        return arguments.run(arguments)
    except Failure as failure:
        try:
            print(f"{PREFIX}{failure}", file=sys.stderr, flush=True)
        except OSError:  # `rubato train ... 2>&1 | head`
            sys.stderr = None  # nor at exit
        return failure.code
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `rubato status | head`
        sys.stderr.close()
        return 0
    except MemoryError:
        return no_memory()
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return no_memory()
        if error.errno in UNWRITABLE and error.filename is None:
            sys.stdout = None  # nor at exit
            print(f"{PREFIX}cannot write to standard output: {reason(error)}", file=sys.stderr, flush=True)
            return int(ExitCode.STORAGE)
        if error.errno != errno.EMFILE:
            raise
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        print(f"{PREFIX}{limit} file descriptors are too few for the launcher: it needs about 16, and one for "
              "each process of the job; raise the limit (ulimit -n)", file=sys.stderr, flush=True)
        return int(ExitCode.USAGE)


def no_memory() -> int:
    print("rubato: error: not enough memory for the launcher: the system gave it no more; raise the limit (ulimit -v), or free "
          "some", file=sys.stderr, flush=True)
    return int(ExitCode.MEMORY)
