// sim_replay RUN: a replay, for tests/system.
#include <fmt/format.h>

#include "sim/replay/replay.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: sim_replay RUN\n");
    return static_cast<int>(rubato::Cause::kUsage);
  }
  const auto verdict = rubato::sim::replay(argv[1], [](const std::string& line) { fmt::print("{}\n", line); });
  if (!verdict.ok()) {
    fmt::print(stderr, "sim_replay: {}\n", verdict.error().message);
    return verdict.error().exit_code();
  }
  fmt::print("{}\n", verdict->text);
  return verdict->identical ? 0 : static_cast<int>(rubato::Cause::kDiffers);
}
