// The update rules on a GPU beside what bounds them: a copy within its memory. A line for each rule: what it moves, and
// its share of the copy's bandwidth. scripts/gpu_check.sh runs it; it has never run on a GPU.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <vector>

#include "base/time.h"
#include "kernels/cuda/apply_rule.h"
#include "kernels/cuda/cuda_check.h"

namespace rubato::bench {
namespace {

using kernels::RuleKind;
using kernels::cuda::DeviceFloats;
using kernels::cuda::Stream;

constexpr int kWindows = 7, kRepeats = 10;

// The shortest time of one call, of several windows; the first of them warms up.
template <typename Call>
Result<double> seconds_of(const Stream& stream, const Call& call) {
  TimeNs best = std::numeric_limits<TimeNs>::max();
  for (int window = 0; window <= kWindows; ++window) {
    const TimeNs began = steady_now();
    for (int i = 0; i < kRepeats; ++i) RUBATO_TRY(call());
    RUBATO_TRY(stream.synchronize());
    if (window > 0) best = std::min(best, steady_now() - began);
  }
  return seconds(best) / kRepeats;
}

// Weights and states, one plane after the other; and behind them the gradient.
struct Memory {
  DeviceFloats planes;
  std::size_t elements = 0;

  [[nodiscard]] std::span<float> plane(std::size_t index) const {
    return planes.span().subspan(index * elements, elements);
  }
  [[nodiscard]] kernels::SlotView slot() const { return {plane(0), {plane(1), plane(2)}}; }
  [[nodiscard]] std::span<float> gradient() const { return plane(1 + kernels::kStatePlanesMax); }
};

// Reads and writes weights and states, and reads the gradient.
double octets_of(RuleKind kind, std::size_t elements) {
  const std::size_t planes = 2 * (1 + kernels::state_planes(kind)) + 1;
  return static_cast<double>(planes * elements * sizeof(float));
}

Status measure(std::size_t elements) {
  RUBATO_TRY(kernels::cuda::device_count());
  RUBATO_ASSIGN(const Stream stream, Stream::create());
  Memory memory{.planes = {}, .elements = elements};
  RUBATO_ASSIGN(memory.planes, DeviceFloats::allocate((2 + kernels::kStatePlanesMax) * elements));
  RUBATO_TRY(
      kernels::cuda::check(cudaMemsetAsync(memory.planes.data(), 0, memory.planes.size() * sizeof(float), stream.get()),
                           "cudaMemsetAsync of {} floats", memory.planes.size()));
  RUBATO_ASSIGN(const double copied, seconds_of(stream, [&] {
                  return kernels::cuda::enqueue_copy(memory.plane(1), memory.plane(0), stream);
                }));
  const double bandwidth = 2.0 * static_cast<double>(elements * sizeof(float)) / copied;
  fmt::print("device copy: {:.0f} GB/s, of {} floats\n", bandwidth * 1e-9, elements);
  for (const RuleKind kind : {RuleKind::kSgd, RuleKind::kMomentum, RuleKind::kNesterov, RuleKind::kAdam}) {
    const kernels::RuleConfig rule{.kind = kind};
    const kernels::UpdateScalars scalars{.rate = 0.01};
    RUBATO_ASSIGN(const double taken, seconds_of(stream, [&] {
                    return kernels::cuda::apply_rule(rule, scalars, memory.slot(), memory.gradient(), memory.slot(),
                                                     stream);
                  }));
    const double rate = octets_of(kind, elements) / taken;
    fmt::print("{}: {:.0f} GB/s, {:.2f} of the copy\n", kernels::rule_name(kind), rate * 1e-9, rate / bandwidth);
  }
  return {};
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  CLI::App app("Update rules on the first GPU, beside a copy within its memory.");
  std::size_t elements = std::size_t{1} << 26;
  app.add_option("--elements", elements, "parameters at a time")->check(CLI::Range(1, 1 << 30));
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::measure(elements);
  if (status.ok()) return 0;
  fmt::print(stderr, "gpu_rules: error: {}\n", status.error().message);
  return status.error().exit_code();
}
