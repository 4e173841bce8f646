"""The checks themselves: each finds what is planted for it in a small tree, and nothing else."""

import shutil
import tempfile
import unittest
from pathlib import Path

import check_cores
import check_cycles
import check_dead_files
import check_format
import check_layers
import check_quotes
import check_scripts
import check_sizes
import check_words
import rules
from tree import Tree


class PlantedTree(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="rubato-structure-"))
        self.addCleanup(shutil.rmtree, self.root)

    def plant(self, path, *lines):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(line + "\n" for line in lines))
        return file

    def found(self, check):
        return [str(problem) for problem in check.check(Tree(self.root))]

    def assert_found(self, check, *expected):
        found = self.found(check)
        self.assertEqual(len(found), len(expected), found)
        for problem, start in zip(sorted(found), sorted(expected)):
            self.assertTrue(problem.startswith(start), f"{problem} does not start with {start}")


class Layers(PlantedTree):
    def test_folders(self):
        self.plant("base/a.h")
        self.plant("server/shard.h", '#include "base/a.h"')
        self.plant("worker/client.h", "", '#include "server/shard.h"')
        self.plant("base/b.cc", '#include "worker/client.h"')
        self.plant("sim/all.cc", '#include "worker/client.h"', '#include "server/shard.h"')
        self.assert_found(check_layers, "base/b.cc:1: base may not include worker",
                          "worker/client.h:2: worker may not include server")

    def test_roles_never_include_each_other(self):
        for role in ("scheduler", "server", "worker"):
            for other in {"scheduler", "server", "worker"} - {role}:
                self.assertNotIn(other, rules.MAY_INCLUDE[role])

    def test_a_main_may_choose_a_transport(self):
        self.plant("transport/zmq/endpoint.h")
        self.plant("worker/worker_main.cc", '#include "transport/zmq/endpoint.h"')
        self.plant("worker/loop.cc", '#include "transport/zmq/endpoint.h"')
        self.assert_found(check_layers, "worker/loop.cc:1: worker may not include transport")

    def test_kinds_of_a_row_are_strangers(self):
        self.plant("transport/sim/network.h")
        self.plant("transport/zmq/socket.cc", '#include "transport/sim/network.h"')
        self.plant("kernels/cuda/device.h")
        self.plant("kernels/cpu/device.cc", '#include "kernels/cuda/device.h"')
        self.assert_found(check_layers, "kernels/cpu/device.cc:1: kernels/cpu may not include kernels/cuda",
                          "transport/zmq/socket.cc:1: transport/zmq may not include transport/sim")

    def test_libraries_have_their_places(self):
        right = {"transport/zmq/s.cc": "zmq.hpp", "kernels/cpu/c.cc": "dnnl.hpp", "kernels/cuda/k.cu": "cuda_runtime.h",
                 "scheduler/http_server.cc": "boost/asio.hpp", "base/job.cc": "toml++/toml.h",
                 "server/main.cc": "boost/asio.hpp", "tests/transport/strangers.cc": "zmq.hpp"}
        wrong = {"transport/loop.cc": "zmq.hpp", "kernels/dense.cc": "dnnl.hpp", "kernels/update_rule.h": "cublasLt.h",
                 "scheduler/policy.cc": "boost/asio.hpp", "data/idx.cc": "toml.hpp"}
        for path, header in (right | wrong).items():
            self.plant(path, f"#include <{header}>")
        self.assert_found(check_layers, *(f"{path}:1:" for path in wrong))

    def test_paths_start_at_the_root(self):
        self.plant("base/a.h")
        self.plant("base/a.cc", '#include "a.h"')
        self.plant("extra/e.cc")
        self.assert_found(check_layers, 'base/a.cc:1: "a.h" is not in the repository',
                          "extra/e.cc:1: the folder extra is not in the table")


class Cycles(PlantedTree):
    def test_a_cycle_is_told_once_and_whole(self):
        self.plant("base/a.h", '#include "base/b.h"')
        self.plant("base/b.h", '#include "base/c.h"')
        self.plant("base/c.h", '#include "base/a.h"')
        self.plant("base/d.h", '#include "base/a.h"')
        self.assert_found(check_cycles, "base/a.h:1: include cycle: base/a.h -> base/b.h -> base/c.h -> base/a.h")


class Cores(PlantedTree):
    def test_threads_are_found_through_headers(self):
        self.plant("base/queue.h", "#include <mutex>")
        self.plant("base/wrapper.h", '#include "base/queue.h"')
        self.plant("server/shard.cc", "#include <vector>", '#include "base/wrapper.h"')
        self.plant("server/shard_thread.cc", '#include "base/queue.h"')
        self.plant("worker/client.h", "now = steady_now();  // why")
        self.plant("scheduler/policy.cc", "// never call getenv( here")
        self.assert_found(check_cores,
                          "server/shard.cc:2: a core may not reach <mutex> (base/wrapper.h -> base/queue.h -> mutex)",
                          "worker/client.h:1: a core may not use steady_now")


class Sizes(PlantedTree):
    def test_only_long_files_fail(self):
        self.plant("base/short.cc", *["x"] * rules.LINES_WARN)
        self.plant("base/long.cc", *["x"] * (rules.LINES_MAX + 1))
        self.plant("docs/long.md", *["x"] * (rules.LINES_MAX + 1))
        self.assert_found(check_sizes, "base/long.cc:600: 601 lines")


class DeadFiles(PlantedTree):
    def test_sources_and_headers(self):
        self.plant("base/CMakeLists.txt", "add_library(b used.cc deep/used.cc)",
                   "foreach(area one two)", "test(test_${area}.cc)", "endforeach()")
        for path in ("base/used.cc", "base/deep/used.cc", "base/test_one.cc", "base/sed.cc", "base/test_three.cc"):
            self.plant(path)
        self.plant("base/used.h")
        self.plant("base/unused.h", '#include "base/used.h"')
        self.assert_found(check_dead_files, "base/sed.cc:1: no CMakeLists.txt",
                          "base/test_three.cc:1: no CMakeLists.txt", "base/unused.h:1: nobody includes")


class Words(PlantedTree):
    def test_words_for_later(self):
        self.plant("base/a.cc", "int a;", f"// {rules.FORBIDDEN_WORDS[0]}: finish")
        self.plant("docs/a.md", f"{rules.FORBIDDEN_WORDS[1]}")
        self.plant("base/b.cc", f"int {rules.FORBIDDEN_WORDS[0]}S;")
        self.assert_found(check_words, "base/a.cc:2:", "docs/a.md:1:")


class Quotes(PlantedTree):
    def test_pages_say_what_files_say(self):
        self.plant("base/a.h", "struct A {", "  int a = 0;", "  int b = 0;", "};", "", "// The end.")
        quote = ("```cpp", "// base/a.h", "struct A {", "int a=0;", "...", "};", "// The end.", "```")
        self.plant("docs/good.md", "Text.", *quote, "```", "// base/none.h is a comment", "```", "// base/a.h")
        self.plant("docs/late.md", *quote[:3], "int b = 0;", "```")
        self.plant("docs/wrong.md", *quote[:4], "int c = 0;", "```")
        self.plant("docs/beyond.md", "```", "# base/a.h", "// The end.", "more", "```")
        self.plant("docs/gone.md", "```", "# base/b.h", "```")
        self.assert_found(check_quotes, "docs/beyond.md:4: is not what base/a.h says there",
                          "docs/gone.md:2: quotes base/b.h", "docs/late.md:4:", "docs/wrong.md:5:")


class Scripts(PlantedTree):
    def test_shell_scripts(self):
        good = ("#!/usr/bin/env bash", "# Usage: good.sh", "set -euo pipefail")
        self.plant("scripts/good.sh", *good).chmod(0o755)
        self.plant("scripts/broken.sh", *good, "if true; then").chmod(0o755)
        self.plant("scripts/silent.sh", good[0], good[2]).chmod(0o755)
        self.plant("scripts/careless.sh", *good[:2]).chmod(0o755)
        self.plant("scripts/tool", *good)
        self.assert_found(check_scripts, "scripts/broken.sh:1: bash -n", "scripts/careless.sh:1: has no line `set",
                          "scripts/silent.sh:1: no `Usage:`", "scripts/tool:1: begins with #!")


@unittest.skipUnless(shutil.which("clang-format"), "no clang-format")
class Format(PlantedTree):
    def test_each_file_is_named_once(self):
        self.plant("base/ugly.cc", "int  a ;", "int  b ;")
        self.plant("base/neat.cc", "int a;")
        self.assert_found(check_format, "base/ugly.cc:1: not formatted")


if __name__ == "__main__":
    unittest.main()
