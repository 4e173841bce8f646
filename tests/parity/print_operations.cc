// Runs operations for sequences on random numbers, one thread, and prints all tensors, a JSON object a line:
// operations_test.py computes the same in PyTorch.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "tests/kernels/planned_op.h"

namespace rubato::kernels {
namespace {

void print(Device& device, const std::string& name, const std::string& options, const OpDesc& desc,
           const std::vector<std::int32_t>& lengths = {}) {
  std::vector<float> x = random_floats(count(input_shape(desc)), "input");
  if (const auto* embedding = std::get_if<EmbeddingDesc>(&desc)) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % embedding->rows);
  }
  PlannedOp run(device, desc, {}, x, 0.0f);
  run.lengths = lengths;
  for (auto& parameter : run.parameters) {
    for (float& value : parameter) value *= 0.25f;
  }
  run.forward();
  run.backward();
  const TensorShape in = input_shape(desc);
  fmt::print("{{\"name\": \"{}\", \"options\": {{{}}}, \"shape\": [{}, {}, {}, {}], \"x\": {}, \"r\": {}, ", name,
             options, in.samples, in.height, in.width, in.channels, run.x, run.r);
  fmt::print("\"parameters\": {}, \"shapes\": {}, ", run.parameters, parameter_shapes(desc));
  fmt::print("\"output\": {}, \"input_gradient\": {}, \"gradients\": {}}}\n", run.output.values(),
             run.input_gradient.values(), run.gradients);
}

int run() {
  auto device = open_device({"cpu", 1}).value();
  device->enter();
  const auto lstm = RecurrentDesc::Cell::kLstm, gru = RecurrentDesc::Cell::kGru;
  print(*device, "linear_gelu", R"("approximate": "none")", DenseDesc{{4, 9, 1, 24}, 33, Activation::kGelu, true});
  print(*device, "linear_gelu", R"("approximate": "tanh")", DenseDesc{{4, 9, 1, 24}, 33, Activation::kGeluTanh, true});
  print(*device, "layer_norm", R"("epsilon": 1e-5)", LayerNormDesc{{4, 9, 1, 45}});
  print(*device, "group_norm", R"("groups": 4, "epsilon": 1e-5)", GroupNormDesc{{3, 8, 8, 20}, 4});
  print(*device, "embedding", "", EmbeddingDesc{{4, 9, 1, 1}, 11, 20, true});
  print(*device, "attention", R"("heads": 3)", AttentionDesc{{3, 41, 1, 3 * 36}, 3});
  for (const bool both : {false, true})
    for (const bool last : {false, true}) {
      for (const std::vector<std::int32_t>& lengths : {std::vector<std::int32_t>(5, 12), {3, 12, 1, 7, 7}}) {
        const std::string options =
            fmt::format(R"("bidirectional": {}, "last": {}, "lengths": {})", both, last, lengths);
        print(*device, "lstm", options, RecurrentDesc{{5, 12, 1, 7}, lstm, 24, both, last}, lengths);
        print(*device, "gru", options, RecurrentDesc{{5, 12, 1, 7}, gru, 24, both, last}, lengths);
      }
    }
  print(*device, "average", R"("lengths": [9, 1, 4])", GlobalAverageDesc{{3, 9, 1, 20}}, {9, 1, 4});
  return testing::UnitTest::GetInstance()->Failed() ? 1 : 0;
}

}  // namespace
}  // namespace rubato::kernels

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return rubato::kernels::run();
}
