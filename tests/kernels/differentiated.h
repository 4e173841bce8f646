// A reference's derivatives, and what contract tests of operations have in common: outputs against the reference, bits
// against those of another run.
//
// Derivatives are finite differences in float64, with step h = 1e-5: off by h^2 times a third derivative, and 2^-53 / h
// times what is differentiated (below 2000): 1e-7 covers both.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "tests/kernels/planned_op.h"
#include "tests/kernels/rounded.h"

namespace rubato::kernels {

// An operation on the values of a run: the input, the parameters in their order, the addend where there is one.
class Differentiated {
 public:
  using Outputs = std::function<reference::Duals(const reference::Values&)>;

  Differentiated(const PlannedOp& run, Outputs outputs) : r_(run.r), outputs_(std::move(outputs)) {
    values_.emplace_back(run.x.begin(), run.x.end());
    for (const auto& parameter : run.parameters) values_.emplace_back(parameter.begin(), parameter.end());
    if (run.has_addend) values_.emplace_back(run.a.begin(), run.a.end());
  }

  [[nodiscard]] const reference::Values& values() const { return values_; }
  [[nodiscard]] reference::Duals outputs() const { return outputs_(values_); }
  // d(r . outputs) / d(values[which][index]).
  [[nodiscard]] double finite_difference(std::size_t which, std::size_t index) {
    constexpr double h = 1e-5;
    reference::Dual& value = values_[which][index];
    const reference::Dual kept = value;
    value = reference::Dual(kept.value.value + h);
    const double above = weighted().value.value;
    value = reference::Dual(kept.value.value - h);
    const double below = weighted().value.value;
    value = kept;
    return (above - below) / (2.0 * h);
  }
  // The same by forward accumulation, with its bound.
  [[nodiscard]] reference::Rounded slope(std::size_t which, std::size_t index) {
    reference::Dual& value = values_[which][index];
    value.slope = 1.0;
    const reference::Rounded slope = weighted().slope;
    value.slope = 0.0;
    return slope;
  }

 private:
  [[nodiscard]] reference::Dual weighted() const {
    const reference::Duals y = outputs();
    reference::Sum sum;
    for (std::size_t i = 0; i < y.size(); ++i) sum.add(reference::Dual(static_cast<double>(r_[i])) * y[i]);
    return sum.total();
  }

  std::vector<float> r_;
  Outputs outputs_;
  reference::Values values_;
};

inline void check_outputs(const PlannedOp& run, const Differentiated& expected) {
  const reference::Duals want = expected.outputs();
  const std::vector<float> got = run.output.values();
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i].value.value, want[i].value.error) << "output " << i;
}

inline void expect_equal_bits(const PlannedOp& a, const PlannedOp& b) {
  EXPECT_EQ(a.output.values(), b.output.values());
  EXPECT_EQ(a.input_gradient.values(), b.input_gradient.values());
  EXPECT_EQ(a.gradients, b.gradients);
}

// Plans an operation whose buffers are filled with this at first.
using Planner = std::function<PlannedOp(Device& device, float fill)>;

// Whatever lay in the buffers, and whatever was computed before: backward overwrites, bits repeat.
inline void check_that_history_does_not_matter(Device& device, const Planner& plan) {
  PlannedOp first = plan(device, -7.0f), second = plan(device, std::nanf(""));
  first.forward();
  first.backward();
  std::vector<float> other = second.x;
  std::reverse(other.begin(), other.end());
  const auto weights = second.parameters;
  second.input.set(other);
  for (auto& parameter : second.parameters) parameter = random_floats(parameter.size(), "other weights");
  second.forward(1);
  second.backward();
  second.input.set(second.x);
  second.output_gradient.set(second.r);
  second.parameters = weights;
  second.forward(2);
  second.backward();
  expect_equal_bits(first, second);
}

// More than the interface promises, and true of the loops of our own: they cut their work, and order their sums,
// without a look at the number of threads.
inline void check_that_threads_do_not_matter(Device& one, Device& several, const Planner& plan) {
  one.enter();
  PlannedOp alone = plan(one, -7.0f);
  alone.forward();
  alone.backward();
  several.enter();
  PlannedOp together = plan(several, -7.0f);
  together.forward();
  together.backward();
  expect_equal_bits(alone, together);
}

}  // namespace rubato::kernels
