"""What may be typed after `scripts/rubato compare` and `scripts/rubato explain`."""

import argparse

from .compare import compare
from .explain import explain

COMPARE_EPILOG = """\
examples:
  how far do modes and bounds get in the same virtual time, with and without one slow worker of eight?
    scripts/rubato compare jobs/fashion_mlp.toml --modes bsp,ssp:1,ssp:4,ssp:16,asp \\
        --stragglers none,persistent:4x --workers 8 --servers 2 --seeds 3
  each mode at its best learning rate
    scripts/rubato compare jobs/fashion_mlp.toml --modes bsp,asp --workers 8 --grid optimizer.rate=0.01,0.03,0.1
  which optimizer bears old gradients, each at its best learning rate?
    scripts/rubato compare jobs/fashion_mlp.toml --modes bsp,asp --workers 8 --vary optimizer.name=sgd,momentum,adam \\
        --grid optimizer.rate=0.001,0.01,0.1
  with real processes, one run after the other
    scripts/rubato compare jobs/quadratic.toml --modes bsp,ssp:3,asp --workers 2 --real

Runs that are done are kept, and found again by their job and programs: a comparison that was stopped goes on, and a
larger one makes only what is new. docs/compare.md says how to read what comes out.
"""

EXPLAIN_EPILOG = """\
example:
  scripts/rubato explain runs/fashion_cnn-20250101-120000
"""


def add_commands(commands, build_dir: str) -> None:
    """`build_dir`: where Rubato was built, unless told otherwise."""
    formatter = argparse.RawDescriptionHelpFormatter
    command = commands.add_parser("compare", help="runs a job under several modes and writes a report",
                                  description="Compares modes, bounds and kinds of stragglers on one job.",
                                  epilog=COMPARE_EPILOG, formatter_class=formatter)
    command.add_argument("job", metavar="JOB.toml", help="the job file; jobs/ has examples")
    command.add_argument("--modes", required=True, metavar="MODE,...", help="values of consistency.mode")
    command.add_argument("--stragglers", default="none", metavar="MODEL,...",
                         help="values of worker.stragglers, for instance none,lognormal:0.5,persistent:4x (default: none)")
    command.add_argument("--grid", action="append", default=[], metavar="KEY=VALUE,...",
                         help="try these values of a key, and compare each mode at its best; may be repeated")
    command.add_argument("--tuning-seeds", type=int, default=1, metavar="N",
                         help="runs of each point of the grid, with other seeds than those compared (default: 1)")
    command.add_argument("--vary", action="append", default=[], metavar="KEY=VALUE,...",
                         help="compare these values of a key with each other, in every mode; may be repeated")
    command.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each (default: 1)")
    command.add_argument("--seed", type=int, default=1, metavar="S", help="the first seed (default: 1)")
    command.add_argument("--workers", type=int, metavar="N", help="cluster.workers")
    command.add_argument("--servers", type=int, metavar="M", help="cluster.servers")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                         help="any key of the job file, for all runs; may be repeated")
    command.add_argument("--target", type=float, metavar="ACCURACY",
                         help="what runs are timed to, 0.85 for 85%%; where there is no accuracy, a test loss "
                              "(default: 98%% of bsp's best final accuracy)")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--simulate", action="store_true", help="in virtual time, one process a run (the default)")
    how.add_argument("--real", action="store_true", help="with real processes, one run after the other")
    command.add_argument("--jobs", type=int, metavar="J", help="simulations at once (default: the processors)")
    command.add_argument("--out", metavar="DIR", help="where all of it goes (default: runs/compare-NAME)")
    command.add_argument("--fail-fast", action="store_true", help="stop at the first run that fails")
    command.add_argument("--build-dir", metavar="DIR", default=build_dir, help="where Rubato was built (default: build)")
    command.set_defaults(run=compare)

    command = commands.add_parser("explain", help="what held a run back, with figures",
                                  description="Reads a run's metrics and says what stands out, and what to try.",
                                  epilog=EXPLAIN_EPILOG, formatter_class=formatter)
    command.add_argument("run_dir", metavar="RUN_DIR", help="a run's directory: job.toml and metrics.jsonl")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=explain)
