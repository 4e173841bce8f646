// Runs operations on random numbers, one thread, and prints all tensors, a JSON object a line: operations_test.py
// computes the same in PyTorch.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <sstream>

#include "kernels/cpu/apply_rule.h"
#include "tests/kernels/planned_op.h"

namespace rubato::kernels {
namespace {

std::string_view name_of(Activation activation) {
  constexpr std::string_view kNames[] = {"none", "relu", "tanh", "sigmoid", "gelu", "gelu_tanh"};
  return kNames[static_cast<std::size_t>(activation)];
}

PlannedOp planned(Device& device, const OpDesc& desc, const PlanHint& hint) {
  std::vector<float> x = random_floats(count(input_shape(desc)), "input");
  if (const auto* embedding = std::get_if<EmbeddingDesc>(&desc)) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % embedding->rows);
  }
  PlannedOp run(device, desc, hint, x, 0.0f);
  for (auto& parameter : run.parameters) {
    for (float& value : parameter) value *= 0.25f;
  }
  if (std::holds_alternative<BatchNormDesc>(desc))
    for (float& variance : run.parameters[3]) variance = std::abs(variance) + 0.1f;
  return run;
}

// What a server makes of running means and variances with what one leaf pushed for them.
std::vector<std::vector<float>> moved(const BatchNormDesc& desc, const PlannedOp& run) {
  ParameterSpec spec;
  spec.average = 0.1f;
  const RuleConfig rule = rule_for({.kind = RuleKind::kMomentum, .momentum = 0.9}, spec);
  const UpdateScalars scalars =
      update_scalars(rule, spec, 0.05, 1.0 / static_cast<double>(desc.input.samples), /*update_count=*/1);
  std::vector<std::vector<float>> both = {run.parameters[2], run.parameters[3]};
  for (std::size_t i = 0; i < both.size(); ++i)
    cpu::apply_rule(rule, scalars, {both[i], {}}, run.gradients[2 + i], {both[i], {}});
  return both;
}

// An addend is printed as one parameter more.
void print(Device& device, const std::string& name, const std::string& options, const OpDesc& desc,
           const std::vector<std::int32_t>& lengths = {}, const PlanHint& hint = {}) {
  PlannedOp run = planned(device, desc, hint);
  run.lengths = lengths;
  run.forward();
  if (hint.training) run.backward();
  const TensorShape in = input_shape(desc), out = output_shape(desc);
  fmt::print("{{\"name\": \"{}\", \"options\": {{{}}}, \"shape\": [{}, {}, {}, {}], \"x\": {}, \"r\": {}, ", name,
             options, in.samples, in.height, in.width, in.channels, run.x, run.r);
  auto parameters = run.parameters, gradients = run.gradients;
  auto shapes = parameter_shapes(desc);
  if (run.has_addend) {
    parameters.push_back(run.a);
    gradients.push_back(run.output_gradient.values());
    shapes.push_back({out.samples, out.height, out.width, out.channels});
  }
  std::vector<std::vector<float>> results = {run.output.values()};
  if (hint.training) {
    results.push_back(run.input_gradient.values());
    results.insert(results.end(), gradients.begin(), gradients.end());
    if (const auto* norm = std::get_if<BatchNormDesc>(&desc))
      std::ranges::copy(moved(*norm, run), back_inserter(results));
  }
  std::vector<std::string> algorithms;
  for (const Algorithm& algorithm : run.op->info().algorithms)
    algorithms.push_back(fmt::format(R"("{}": "{}")", algorithm.call, algorithm.implementation));
  fmt::print("\"training\": {}, \"algorithms\": {{{}}}, ", hint.training, fmt::join(algorithms, ", "));
  fmt::print("\"parameters\": {}, \"shapes\": {}, \"results\": {}}}\n", parameters, shapes, results);
}

void print_sequences(Device& device) {
  const auto lstm = RecurrentDesc::Cell::kLstm, gru = RecurrentDesc::Cell::kGru;
  print(device, "linear_gelu", R"("approximate": "none")", DenseDesc{{4, 9, 1, 24}, 33, Activation::kGelu, true});
  print(device, "linear_gelu", R"("approximate": "tanh")", DenseDesc{{4, 9, 1, 24}, 33, Activation::kGeluTanh, true});
  print(device, "layer_norm", R"("epsilon": 1e-5)", LayerNormDesc{{4, 9, 1, 45}});
  print(device, "group_norm", R"("groups": 4, "epsilon": 1e-5)", GroupNormDesc{{3, 8, 8, 20}, 4});
  print(device, "embedding", "", EmbeddingDesc{{4, 9, 1, 1}, 11, 20, true});
  print(device, "attention", R"("heads": 3)", AttentionDesc{{3, 41, 1, 3 * 36}, 3});
  for (const bool both : {false, true})
    for (const bool last : {false, true}) {
      for (const std::vector<std::int32_t>& lengths : {std::vector<std::int32_t>(5, 12), {3, 12, 1, 7, 7}}) {
        const std::string options =
            fmt::format(R"("bidirectional": {}, "last": {}, "lengths": {})", both, last, lengths);
        print(device, "lstm", options, RecurrentDesc{{5, 12, 1, 7}, lstm, 24, both, last}, lengths);
        print(device, "gru", options, RecurrentDesc{{5, 12, 1, 7}, gru, 24, both, last}, lengths);
      }
    }
  print(device, "average", R"("lengths": [9, 1, 4])", GlobalAverageDesc{{3, 9, 1, 20}}, {9, 1, 4});
}

// In every layout that the device has for it. Tensors have 16 numbers or more: of fewer, float32 in PyTorch may be near
// float64 by chance.
void print_in_layouts(Device& device, const std::string& name, const std::string& options, const OpDesc& desc,
                      bool training = true) {
  for (const PlanHint& hint : hints_for(device, desc, training)) {
    const std::string layouts = (std::ostringstream() << hint).str();
    print(device, name, options + fmt::format(R"({}"layouts": "{}")", options.empty() ? "" : ", ", layouts), desc, {},
          hint);
  }
}

void print_products(Device& device) {
  using A = Activation;
  for (const DenseDesc& d : {DenseDesc{{16, 1, 1, 64}, 20}, DenseDesc{{33, 3, 3, 5}, 17, A::kRelu},
                             DenseDesc{{5, 2, 3, 32}, 40, A::kTanh}, DenseDesc{{7, 1, 1, 19}, 23, A::kSigmoid}})
    print_in_layouts(device, "linear", fmt::format(R"("activation": "{}")", name_of(d.activation)), d);
  for (const ConvolutionDesc& d :
       {ConvolutionDesc{{2, 9, 7, 1}, 17, 5, 1, 2, A::kRelu}, ConvolutionDesc{{3, 6, 6, 6}, 16, 5, 1, 0, A::kTanh},
        ConvolutionDesc{{2, 12, 11, 3}, 16, 7, 2, 3, A::kNone, false},
        ConvolutionDesc{{2, 7, 5, 16}, 32, 3, 2, 1, A::kRelu}, ConvolutionDesc{{2, 7, 6, 5}, 19, 3, 1, 1, A::kSigmoid},
        ConvolutionDesc{{3, 6, 6, 32}, 16, 1, 2, 0, A::kNone, false},
        ConvolutionDesc{{16, 5, 5, 64}, 64, 3, 1, 1, A::kRelu}})  // enough for Winograd's algorithm
    print_in_layouts(device, "convolution",
                     fmt::format(R"("kernel": {}, "stride": {}, "padding": {}, "activation": "{}")", d.kernel, d.stride,
                                 d.padding, name_of(d.activation)),
                     d);
}

void print_pools(Device& device) {
  using A = Activation;
  const auto max = PoolDesc::Kind::kMax, average = PoolDesc::Kind::kAverage;
  for (const PoolDesc& d :
       {PoolDesc{{3, 6, 4, 16}, max}, PoolDesc{{2, 7, 5, 6}, max, 2, 2, A::kRelu},
        PoolDesc{{2, 7, 7, 19}, max, 3, 2, A::kTanh}, PoolDesc{{2, 8, 7, 32}, max, 3, 2, A::kRelu, 1},
        PoolDesc{{3, 6, 6, 16}, average}, PoolDesc{{2, 7, 5, 5}, average, 3, 1, A::kRelu},
        PoolDesc{{2, 7, 8, 32}, average, 3, 2, A::kNone, 1}})
    print_in_layouts(device, d.kind == max ? "max_pool" : "average_pool",
                     fmt::format(R"("window": {}, "stride": {}, "padding": {}, "activation": "{}")", d.window, d.stride,
                                 d.padding, name_of(d.activation)),
                     d);
  for (const std::int64_t channels : {17, 48})
    print_in_layouts(device, "global_average", "", GlobalAverageDesc{{3, 4, 5, channels}});
}

void print_residuals(Device& device) {
  using A = Activation;
  for (const AddDesc& d : {AddDesc{{3, 5, 4, 7}}, AddDesc{{3, 5, 4, 32}, A::kRelu}})
    print_in_layouts(device, "add", fmt::format(R"("activation": "{}")", name_of(d.activation)), d);
  for (const BatchNormDesc& d :
       {BatchNormDesc{{3, 4, 5, 17}}, BatchNormDesc{{6, 1, 1, 21}, 1e-3}, BatchNormDesc{{2, 5, 4, 16}, 1e-5, A::kRelu},
        BatchNormDesc{{4, 3, 2, 19}, 1e-5, A::kNone, true}, BatchNormDesc{{3, 37, 11, 32}, 1e-5, A::kRelu, true},
        BatchNormDesc{{3, 4, 5, 17}, 1e-5, A::kNone, false, true},
        BatchNormDesc{{2, 5, 4, 16}, 1e-5, A::kRelu, true, true}})
    for (const bool training : {true, false})
      print_in_layouts(device, "batch_norm",
                       fmt::format(R"("epsilon": {}, "activation": "{}", "by_running": {})", d.epsilon,
                                   name_of(d.activation), d.fixed || !training),
                       d, training);
}

int run() {
  auto device = open_device({"cpu", 1}).value();
  device->enter();
  print_sequences(*device);
  print_products(*device);
  print_pools(*device);
  print_residuals(*device);
  return testing::UnitTest::GetInstance()->Failed() ? 1 : 0;
}

}  // namespace
}  // namespace rubato::kernels

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return rubato::kernels::run();
}
