#!/usr/bin/env python3
"""What a job trains a second whose workers are on another host, over links of some rates, beside what bounds it.

Usage: bench/between_hosts.py [--job fashion_cnn] [--rates 200mbit,1gbit] [--workers 1] [--mode asp] [--steps 200]
                              [--rounds 3] [--beside DIR] [--set KEY=VALUE]...

The hosts are two network namespaces of this machine (tests/system/two_hosts.py), so it wants root: servers in one,
workers in the other. The wire's limit is how often the link carries the weights one way in a second, times the samples
of a step. `--beside DIR`: programs of another build, which take turns with these. Medians of the rounds.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "system"), str(ROOT / "scripts")]
import two_hosts  # noqa: E402
from rubato_cli.tables import table  # noqa: E402

UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", default="fashion_cnn", help="a name in jobs/ (default: %(default)s)")
    parser.add_argument("--rates", default="200mbit,1gbit", help="of the link, each way (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--mode", default="asp", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=200, help="of each worker (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the job")
    parser.add_argument("--programs", type=Path, default=ROOT / "build" / "bin", help="where they are (default: build/bin)")
    parser.add_argument("--beside", type=Path, metavar="DIR", help="other programs, which take turns with these")
    return parser.parse_args(words)


def rate_of(text: str) -> float:
    """Bits a second."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise SystemExit(f"{text}: expected a rate like 1gbit or 200mbit")


def samples_per_s(options, programs: Path, hosts: two_hosts.TwoHosts) -> tuple[float, float]:
    """And of the wire's limit."""
    settings = [f"cluster.workers={options.workers}", "cluster.servers=1", f"consistency.mode={options.mode}",
                f"train.steps={options.steps}", "evaluation.enabled=false", *options.set]
    with tempfile.TemporaryDirectory(prefix="rubato-hosts-") as folder:
        metrics = hosts.train(programs, ROOT / "jobs" / f"{options.job}.toml", Path(folder), settings)
    start = next(line for line in metrics if line["event"] == "start")
    final = metrics[-1]
    batch = final["samples_settled"] / max(options.steps * options.workers, 1)
    return final["samples_per_s"], rate_of(hosts.rate) / 8.0 / (4.0 * start["parameters"]) * batch


def main(words) -> int:
    options = parse(words)
    builds = {"samples/s": options.programs} | ({"beside": options.beside} if options.beside else {})
    rows = []
    for rate in options.rates.split(","):
        found = {name: [] for name in builds}
        with two_hosts.TwoHosts(rate) as hosts:
            for _ in range(options.rounds):
                for name, programs in builds.items():
                    value, limit = samples_per_s(options, programs, hosts)
                    found[name].append(value)
        medians = {name: statistics.median(values) for name, values in found.items()}
        ratios = [mine / other for mine, other in zip(found["samples/s"], found.get("beside", []), strict=False)]
        rows.append([rate, *(f"{value:,.0f}" for value in medians.values()), f"{limit:,.0f}",
                     *([f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"] if ratios else [])])
    print(*table(["link", *builds, "the wire's limit", *(["ratio"] if options.beside else [])], rows), sep="\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (two_hosts.Unavailable, two_hosts.JobFailed) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
