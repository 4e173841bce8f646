#include "kernels/cpu/measure_ways.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "kernels/cpu/convolution_ways.h"
#include "kernels/cpu/ops.h"

namespace rubato::kernels {
namespace {

// Each way once a round, so that what disturbs for longer disturbs all of them.
constexpr int kRoundsMin = 3, kRoundsMax = 12;
constexpr TimeNs kLongEnough = 500 * kMillisecond;
constexpr double kToldApart = 0.95;

using Times = std::map<std::string, double>;  // by call, in milliseconds

// An operation, and tensors for it.
class Workbench {
 public:
  static Result<Workbench> make(Device& device, std::unique_ptr<Op> op, const ConvolutionDesc& desc,
                                const PlanHint& hint);
  // Each call once.
  Status time_calls();
  Status warm_up() {
    RUBATO_TRY(time_calls());
    least_.clear();
    return {};
  }
  [[nodiscard]] const Times& least() const { return least_; }

 private:
  Workbench(std::unique_ptr<Op> op, const PlanHint& hint) : op_(std::move(op)), hint_(hint) {}
  Result<float*> tensor(Device& device, std::size_t bytes);

  std::unique_ptr<Op> op_;
  PlanHint hint_;
  std::vector<Buffer> memory_;
  std::vector<std::vector<float>> parameters_, gradients_;
  std::vector<std::span<float>> gradient_spans_;
  Version version_ = 0;
  Times least_;
};

Result<float*> Workbench::tensor(Device& device, std::size_t bytes) {
  RUBATO_ASSIGN(Buffer buffer, device.allocate(bytes));
  auto* numbers = reinterpret_cast<float*>(buffer.data());
  RandomStream random(stream_key(1, "plan", memory_.size()));
  for (std::size_t i = 0; i < bytes / sizeof(float); ++i) numbers[i] = unit_float(random.next_u32()) - 0.5f;
  memory_.push_back(std::move(buffer));
  return numbers;
}

Result<Workbench> Workbench::make(Device& device, std::unique_ptr<Op> op, const ConvolutionDesc& desc,
                                  const PlanHint& hint) {
  Workbench bench(std::move(op), hint);
  const OpInfo& info = bench.op_->info();
  Ports ports;
  RUBATO_ASSIGN(ports.input, bench.tensor(device, info.input.bytes()));
  RUBATO_ASSIGN(ports.output, bench.tensor(device, info.output.bytes()));
  if (hint.training) {
    RUBATO_ASSIGN(ports.output_gradient, bench.tensor(device, info.output.bytes()));
    RUBATO_ASSIGN(ports.input_gradient, bench.tensor(device, info.input.bytes()));
  }
  RUBATO_ASSIGN(ports.saved, bench.tensor(device, info.saved_bytes));
  RUBATO_ASSIGN(ports.scratch, bench.tensor(device, info.scratch_bytes));
  bench.op_->bind(ports);
  for (const std::vector<std::int64_t>& shape : parameter_shapes(desc)) {
    std::size_t elements = 1;
    for (const std::int64_t length : shape) elements *= static_cast<std::size_t>(length);
    bench.parameters_.emplace_back(elements, 0.1f);
    bench.gradients_.emplace_back(elements);
  }
  for (std::vector<float>& gradient : bench.gradients_) bench.gradient_spans_.emplace_back(gradient);
  return bench;
}

// Weights are new in each step, and are brought into the way's layout in it: where forward wants them, and where
// backward does.
Status Workbench::time_calls() {
  const auto timed = [&](const char* call, const auto& work) -> Status {
    const TimeNs began = steady_now();
    RUBATO_TRY(work());
    const double ms = static_cast<double>(steady_now() - began) / kMillisecond;
    const auto [entry, is_first] = least_.try_emplace(call, ms);
    if (!is_first) entry->second = std::min(entry->second, ms);
    return {};
  };
  const auto forward = [&]() -> Status {
    ++version_;
    for (std::size_t p = 0; p < parameters_.size(); ++p) RUBATO_TRY(op_->load(p, parameters_[p], version_));
    return op_->forward({});
  };
  RUBATO_TRY(timed(hint_.training ? "forward" : "inference", forward));
  if (!hint_.training) return {};
  RUBATO_TRY(op_->begin_backward());
  RUBATO_TRY(timed("backward_weights", [&] { return op_->backward_weights(gradient_spans_); }));
  if (!hint_.input_gradient) return {};
  return timed("backward_data", [&] { return op_->backward_data(); });
}

// What is best comes first; what is hardly better than the rule's way does not.
PlanEntry entry_of(const std::string& operation, const std::string& call, std::vector<TimedWay> ways) {
  const double by_rule = ways.front().ms;
  const auto faster = [&](const TimedWay& a, const TimedWay& b) { return a.ms < b.ms; };
  if (std::ranges::min_element(ways, faster)->ms < kToldApart * by_rule)
    std::ranges::stable_sort(ways, faster);
  else
    std::stable_sort(ways.begin() + 1, ways.end(), faster);
  return {operation, call, std::move(ways)};
}

// Of an operation that is planned so, in the order in which a step makes them.
std::vector<const char*> calls_of(const PlanHint& hint) {
  if (!hint.training) return {"inference"};
  if (!hint.input_gradient) return {"forward", "backward_weights"};
  return {"forward", "backward_weights", "backward_data"};
}

}  // namespace

void list_ways(const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint, PlanBook& book) {
  std::vector<TimedWay> ways;
  for (const ConvolutionWay& way : all_convolution_ways(desc, hint, context.precision))
    ways.push_back({way.name, std::nan("")});
  for (const char* const call : calls_of(hint)) book.add({operation_name(desc, hint, context.precision), call, ways});
}

Status measure_ways(Device& device, const CpuContext& context, const ConvolutionDesc& desc, const PlanHint& hint,
                    PlanBook& book) {
  const std::string operation = operation_name(desc, hint, context.precision);
  if (book.way_of(operation, calls_of(hint).back()) != nullptr) return {};
  std::vector<std::pair<const char*, Workbench>> ways;
  for (const ConvolutionWay& way : all_convolution_ways(desc, hint, context.precision)) {
    // A way counts that has kernels for all of the calls.
    CpuContext by_this_way = context;
    by_this_way.only_way = way.name;
    std::unique_ptr<Op> op;
    try {
      op = make_op(by_this_way, desc, hint);
    } catch (const dnnl::error&) {
      continue;
    }
    RUBATO_ASSIGN(Workbench bench, Workbench::make(device, std::move(op), desc, hint));
    ways.emplace_back(way.name, std::move(bench));
  }
  for (auto& [name, bench] : ways) RUBATO_TRY(bench.warm_up());
  const TimeNs began = steady_now();
  for (int round = 0; round < kRoundsMax && (round < kRoundsMin || steady_now() - began < kLongEnough); ++round)
    for (auto& [name, bench] : ways) RUBATO_TRY(bench.time_calls());
  std::map<std::string, std::vector<TimedWay>> calls;
  for (const auto& [name, bench] : ways)
    for (const auto& [call, ms] : bench.least()) calls[call].push_back({name, ms});
  for (auto& [call, timed] : calls) book.add(entry_of(operation, call, std::move(timed)));
  return {};
}

}  // namespace rubato::kernels
