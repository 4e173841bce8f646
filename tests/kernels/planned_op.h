// One operation with random tensors, planned, bound to memory of a device and run: what contract tests compare with a
// reference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/float16.h"
#include "base/rng.h"
#include "kernels/backend.h"
#include "tests/kernels/backend_fixture.h"

namespace rubato::kernels {

inline std::size_t count(const TensorShape& shape) { return static_cast<std::size_t>(shape.elements()); }

struct PlannedOp {
  PlannedOp(Device& on, const OpDesc& desc, const PlanHint& hint, float fill = -7.0f)
      : PlannedOp(on, desc, hint, random_floats(count(input_shape(desc)), "input"), fill) {}
  PlannedOp(Device& on, const OpDesc& desc, const PlanHint& hint, std::vector<float> inputs, float fill);
  // The factors of a dense layer or a convolution, to numbers that bfloat16 has.
  void round_factors();
  void bind(const float* second_gradient = nullptr);
  void forward(Version version = 1);
  void backward();

  [[nodiscard]] std::vector<std::span<float>> gradient_spans() {
    std::vector<std::span<float>> spans;
    for (auto& gradient : gradients) spans.emplace_back(gradient);
    return spans;
  }

  Device& device;
  std::unique_ptr<Op> op;
  std::vector<std::vector<float>> parameters, gradients;
  std::vector<float> x, r;  // input, and the gradient of the output
  std::vector<float> a;     // addend, where the operation has one
  DeviceFloats input, addend, output, output_gradient, input_gradient;
  Buffer saved, scratch;
  bool has_addend = false;
  std::vector<std::int32_t> lengths;  // of the samples, or none
};

inline PlannedOp::PlannedOp(Device& on, const OpDesc& desc, const PlanHint& hint, std::vector<float> inputs, float fill)
    : device(on),
      x(std::move(inputs)),
      r(random_floats(count(output_shape(desc)), "output gradient")),
      a(random_floats(r.size(), "addend")),
      input(device, x, places(input_shape(desc), hint.input)),
      addend(device, a, places(output_shape(desc), hint.output)),
      output(device, r.size(), fill, places(output_shape(desc), hint.output)),
      output_gradient(device, r, places(output_shape(desc), hint.output)),
      input_gradient(device, x.size(), fill, places(input_shape(desc), hint.input)) {
  op = device.plan(desc, hint).value();
  for (const auto& shape : parameter_shapes(desc)) {
    std::size_t elements = 1;
    for (std::int64_t extent : shape) elements *= static_cast<std::size_t>(extent);
    parameters.push_back(random_floats(elements, "parameter " + std::to_string(parameters.size())));
    gradients.emplace_back(elements, fill);
  }
  saved = device.allocate(op->info().saved_bytes).value();
  scratch = device.allocate(op->info().scratch_bytes).value();
  has_addend = kernels::has_addend(desc);
  bind();
}

inline void PlannedOp::round_factors() {
  for (auto* factors : {&x, &r, &parameters[0]})
    for (float& factor : *factors) factor = from_bfloat(to_bfloat(factor));
  input.set(x);
  output_gradient.set(r);
}

inline void PlannedOp::bind(const float* second_gradient) {
  op->bind({input.data(), output.data(), output_gradient.data(), input_gradient.data(), saved.data(), scratch.data(),
            has_addend ? addend.data() : nullptr, second_gradient});
}

inline void PlannedOp::forward(Version version) {
  ASSERT_TRUE(device.begin_step().ok());
  for (std::size_t i = 0; i < parameters.size(); ++i) ASSERT_TRUE(op->load(i, parameters[i], version).ok());
  ASSERT_TRUE(op->forward({.epoch = 0, .ids = {}, .lengths = lengths}).ok());
  ASSERT_TRUE(op->findings().ok());
}

inline void PlannedOp::backward() {
  ASSERT_TRUE(op->begin_backward().ok());
  if (!parameters.empty()) {
    ASSERT_TRUE(op->backward_weights(gradient_spans()).ok());
  }
  ASSERT_TRUE(op->backward_data().ok());
}

// Of many elements some, the same ones every time: finite differences are slow.
inline std::vector<std::size_t> some_of(std::size_t size, std::size_t most = 120) {
  std::vector<std::size_t> indices;
  RandomStream random(stream_key(2, "some_of"));
  for (std::size_t i = 0; i < std::min(size, most); ++i) indices.push_back(size <= most ? i : random.below(size));
  return indices;
}

}  // namespace rubato::kernels
