// The contract of the operations for sequences, on every device: outputs and gradients against a reference that brings
// its tolerance along (tests/kernels/rounded.h), over ragged shapes; derivatives by finite differences of it
// (tests/kernels/differentiated.h).
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/kernels/differentiated.h"
#include "tests/kernels/planned_op.h"
#include "tests/kernels/sequence_reference.h"

namespace rubato::kernels {
namespace {

using reference::Dual;
using reference::Duals;
using reference::Values;

constexpr auto kLstm = RecurrentDesc::Cell::kLstm, kGru = RecurrentDesc::Cell::kGru;

struct Case {
  std::string name;
  OpDesc desc;
  std::vector<std::string> implementations = {};  // that may be taken
  std::vector<std::int32_t> lengths = {};         // of the samples; none: they are whole
};

// Whole numbers where an operation reads tokens.
std::vector<float> input_for(const OpDesc& desc) {
  std::vector<float> x = random_floats(count(input_shape(desc)), "input");
  if (const auto* embedding = std::get_if<EmbeddingDesc>(&desc)) {
    for (float& value : x) value = std::floor((value + 1.0f) * 0.499f * static_cast<float>(embedding->rows));
  }
  return x;
}

PlannedOp planned(Device& device, const Case& c, const PlanHint& hint = {}, float fill = -7.0f) {
  PlannedOp run(device, c.desc, hint, input_for(c.desc), fill);
  run.lengths = c.lengths;
  // Weights as they are in use: with larger ones a worst case grows from step to step, and the bound with it.
  if (const auto* recurrent = std::get_if<RecurrentDesc>(&c.desc)) {
    for (auto& parameter : run.parameters) {
      for (float& value : parameter) value /= std::sqrt(static_cast<float>(recurrent->units));
    }
  }
  return run;
}

Differentiated reference_of(const Case& c, const PlannedOp& run) {
  return {run, [desc = c.desc, lengths = c.lengths](const Values& values) {
            return reference::outputs(desc, values, lengths);
          }};
}

void check_gradient(Differentiated& expected, std::size_t which, const std::vector<float>& got) {
  for (const std::size_t i : some_of(got.size())) {
    const double allowed = 2.0 * expected.slope(which, i).error + 1e-7;
    ASSERT_LT(allowed, 1e-2) << "a bound that would let mistakes pass: value " << which << ", element " << i;
    ASSERT_NEAR(got[i], expected.finite_difference(which, i), allowed) << "value " << which << ", element " << i;
  }
}

std::vector<Case> cases() {
  return {
      {"layer norm 1", LayerNormDesc{{1, 1, 1, 2}}, {"lanes"}},
      {"layer norm 2", LayerNormDesc{{3, 5, 1, 7}}, {"lanes"}},
      {"layer norm 3", LayerNormDesc{{2, 3, 1, 16}, 1e-3}, {"lanes"}},
      {"layer norm 4", LayerNormDesc{{2, 37, 1, 45}}, {"lanes"}},
      {"layer norm 5", LayerNormDesc{{5, 1, 1, 130}}, {"lanes"}},
      {"group norm 1", GroupNormDesc{{1, 2, 1, 1}, 1}, {"channels"}},
      {"group norm 2", GroupNormDesc{{3, 4, 5, 6}, 3}, {"channels"}},
      {"group norm 3", GroupNormDesc{{2, 7, 5, 20}, 1, 1e-3}, {"channels"}},
      {"group norm 4", GroupNormDesc{{3, 3, 3, 5}, 5}, {"channels"}},
      {"embedding 1", EmbeddingDesc{{1, 1, 1, 1}, 1, 1}, {"rows", "columns"}},
      {"embedding 2", EmbeddingDesc{{3, 7, 1, 1}, 5, 19}, {"rows", "columns"}},
      {"embedding 3", EmbeddingDesc{{4, 5, 1, 1}, 11, 37, true}, {"rows", "columns"}},
      {"attention 1", AttentionDesc{{1, 1, 1, 3}, 1}, {"blocks"}},
      {"attention 2", AttentionDesc{{3, 5, 1, 18}, 2}, {"blocks"}},
      {"attention 3", AttentionDesc{{1, 17, 1, 60}, 1}, {"blocks"}},
      {"attention 4", AttentionDesc{{1, 70, 1, 24}, 2}, {"blocks"}},
      {"lstm 1", RecurrentDesc{{1, 1, 1, 1}, kLstm, 1}, {"sgemm"}},
      {"lstm 2", RecurrentDesc{{3, 5, 1, 4}, kLstm, 7}, {"sgemm"}},
      {"lstm 3", RecurrentDesc{{2, 4, 1, 5}, kLstm, 19, true}, {"sgemm"}},
      {"lstm 4", RecurrentDesc{{3, 4, 1, 3}, kLstm, 6, false, true}, {"sgemm"}},
      {"lstm 5", RecurrentDesc{{2, 3, 1, 3}, kLstm, 5, true, true}, {"sgemm"}},
      {"lstm 6", RecurrentDesc{{1, 2, 1, 2}, kLstm, 64}, {"sgemm"}},  // rows of 1 KiB, which are kept apart
      {"lstm 7", RecurrentDesc{{1, 1, 1, 2}, kLstm, 3, true}, {"sgemm"}},
      {"gru 1", RecurrentDesc{{1, 1, 1, 1}, kGru, 1}, {"sgemm"}},
      {"gru 2", RecurrentDesc{{3, 5, 1, 4}, kGru, 7}, {"sgemm"}},
      {"gru 3", RecurrentDesc{{2, 4, 1, 5}, kGru, 19, true}, {"sgemm"}},
      {"gru 4", RecurrentDesc{{3, 4, 1, 3}, kGru, 6, false, true}, {"sgemm"}},
      {"gru 5", RecurrentDesc{{2, 3, 1, 3}, kGru, 5, true, true}, {"sgemm"}},
      {"lstm of lengths 1", RecurrentDesc{{4, 5, 1, 4}, kLstm, 7}, {"sgemm"}, {2, 5, 1, 4}},
      {"lstm of lengths 2", RecurrentDesc{{4, 5, 1, 3}, kLstm, 6, true}, {"sgemm"}, {3, 1, 3, 4}},
      {"lstm of lengths 3", RecurrentDesc{{3, 4, 1, 3}, kLstm, 5, true, true}, {"sgemm"}, {3, 1, 4}},
      {"gru of lengths 1", RecurrentDesc{{3, 5, 1, 4}, kGru, 7, true}, {"sgemm"}, {2, 4, 5}},
      {"gru of lengths 2", RecurrentDesc{{4, 4, 1, 3}, kGru, 6, false, true}, {"sgemm"}, {2, 1, 4, 2}},
      {"gru of lengths 3", RecurrentDesc{{3, 4, 1, 3}, kGru, 5, true, true}, {"sgemm"}, {2, 4, 1}},
      {"gru of lengths 4", RecurrentDesc{{2, 6, 1, 2}, kGru, 64}, {"sgemm"}, {1, 3}},  // nobody is whole
      {"average of lengths 1", GlobalAverageDesc{{3, 5, 1, 7}}, {"rows"}, {1, 5, 3}},
      {"average of lengths 2", GlobalAverageDesc{{2, 4, 3, 2}}, {"rows"}, {2, 4}},
  };
}

class BackendSequence : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BackendSequence, kDevices, device_test_name);

TEST_P(BackendSequence, OutputsAndGradientsAgreeWithTheReference) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    PlannedOp run = planned(*device_, c);
    Differentiated expected = reference_of(c, run);
    run.forward();
    check_outputs(run, expected);
    run.backward();
    if (std::holds_alternative<EmbeddingDesc>(c.desc)) {
      EXPECT_THAT(run.input_gradient.values(), testing::Each(0.0f));
    } else {
      check_gradient(expected, 0, run.input_gradient.values());
    }
    for (std::size_t i = 0; i < run.gradients.size(); ++i) check_gradient(expected, i + 1, run.gradients[i]);
    if (HasFatalFailure()) return;
  }
}

// As of columns that are times in seconds: roundings of their variance may come out below zero.
TEST_P(BackendSequence, RowsOfOneLargeNumberHaveANorm) {
  for (const std::int64_t channels : {50, 379, 768})
    for (const float number : {3.5e7f, 1700123456.0f}) {
      PlannedOp run(*device_, LayerNormDesc{{1, 3, 1, channels}}, {},
                    std::vector<float>(static_cast<std::size_t>(3 * channels), number), 0.0f);
      run.forward();
      EXPECT_THAT(run.output.values(), testing::Each(testing::Truly([](float y) { return std::isfinite(y); })))
          << channels << " of " << number;
    }
}

// What is dropped, counted and stopped for where it is not finite must not come out of an operation as a number.
TEST_P(BackendSequence, WhatIsNoNumberStaysSo) {
  const OpDesc cases[] = {RecurrentDesc{{1, 3, 1, 12}, kGru, 20}, RecurrentDesc{{1, 3, 1, 12}, kLstm, 20},
                          AttentionDesc{{1, 3, 1, 12}, 2}};
  for (const OpDesc& desc : cases) {
    std::vector<float> inputs = random_floats(count(input_shape(desc)), "input");
    inputs[4] = std::numeric_limits<float>::quiet_NaN();  // of the first position; in attention a key of the first head
    PlannedOp run(*device_, desc, {}, inputs, 0.0f);
    run.forward();
    const std::vector<float> output = run.output.values();
    EXPECT_TRUE(std::isnan(output.front()));
    EXPECT_TRUE(std::isnan(output[output.size() / 3 * 2])) << "the last position has seen the first";
  }
}

TEST_P(BackendSequence, EvaluationComputesWhatTrainingDoes) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    PlannedOp run = planned(*device_, c, {.training = false, .input_gradient = false});
    EXPECT_EQ(run.op->info().saved_bytes, 0u);
    run.forward();
    check_outputs(run, reference_of(c, run));
    if (HasFatalFailure()) return;
  }
}

std::vector<std::string> on_cuda(const OpDesc& desc) {
  if (std::holds_alternative<AttentionDesc>(desc)) return {"cublasLt", "kernel"};
  if (std::holds_alternative<RecurrentDesc>(desc)) return {"cudnn"};
  return {"kernel"};
}

TEST_P(BackendSequence, ImplementationsAreOnTheAllowList) {
  for (const Case& c : cases()) {
    const PlannedOp run = planned(*device_, c);
    EXPECT_FALSE(run.op->info().algorithms.empty()) << c.name;
    for (const Algorithm& algorithm : run.op->info().algorithms) {
      const bool cpu = device_->description().starts_with("cpu");
      EXPECT_THAT(cpu ? c.implementations : on_cuda(c.desc), testing::Contains(algorithm.implementation))
          << c.name << ", " << algorithm.call;
    }
  }
}

TEST_P(BackendSequence, BitsDoNotDependOnHistory) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    check_that_history_does_not_matter(*device_,
                                       [&](Device& device, float fill) { return planned(device, c, {}, fill); });
  }
}

TEST(BackendSequenceThreads, DoNotChangeTheBitsOfOurOwnLoops) {
  auto one = open_device({"cpu", 1}).value(), three = open_device({"cpu", 3}).value();
  for (const Case& c : cases()) {
    if (std::holds_alternative<RecurrentDesc>(c.desc)) continue;
    SCOPED_TRACE(c.name);
    check_that_threads_do_not_matter(*one, *three,
                                     [&](Device& device, float fill) { return planned(device, c, {}, fill); });
  }
}

// Where a case's rows of so many numbers, a position each, are not there.
std::vector<std::size_t> places_behind(const Case& c, std::size_t row, std::size_t numbers) {
  const auto positions = static_cast<std::size_t>(input_shape(c.desc).height);
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < numbers; ++at)
    if (static_cast<std::int32_t>(at / row % positions) >= c.lengths[at / row / positions]) places.push_back(at);
  return places;
}

// Of a mean not even numbers that are none. A weight's gradient multiplies them by zeros, which only numbers survive.
TEST_P(BackendSequence, WhatIsBehindASamplesEndDoesNotMatter) {
  for (const Case& c : cases()) {
    if (c.lengths.empty()) continue;
    SCOPED_TRACE(c.name);
    const bool recurrent = std::holds_alternative<RecurrentDesc>(c.desc);
    PlannedOp clean = planned(*device_, c), dirty = planned(*device_, c);
    const auto in = static_cast<std::size_t>(input_shape(c.desc).elements_per_sample() / input_shape(c.desc).height);
    const std::vector<std::size_t> behind = places_behind(c, in, clean.x.size());
    ASSERT_FALSE(behind.empty());
    for (const std::size_t at : behind) dirty.x[at] = recurrent ? 1e6f : std::nanf("");
    dirty.input.set(dirty.x);
    if (output_shape(c.desc).height > 1) {
      const auto out = static_cast<std::size_t>(output_shape(c.desc).channels);
      for (const std::size_t at : places_behind(c, out, dirty.r.size())) dirty.r[at] = std::nanf("");
      dirty.output_gradient.set(dirty.r);
    }
    for (PlannedOp* run : {&clean, &dirty}) {
      run->forward();
      run->backward();
    }
    expect_equal_bits(clean, dirty);
    const std::vector<float> gradient = clean.input_gradient.values();
    for (const std::size_t at : behind) ASSERT_EQ(gradient[at], 0.0f) << at;
  }
}

// What attention makes of padding is nobody's affair: it looks back only, and gives nothing to whoever wants nothing.
TEST_P(BackendSequence, AttentionTakesPaddingAtTheEnd) {
  const Case c{"attention", AttentionDesc{{2, 40, 1, 24}, 2}, {}, {7, 33}};
  PlannedOp clean = planned(*device_, c), dirty = planned(*device_, c);
  for (const std::size_t at : places_behind(c, 24, clean.x.size())) dirty.x[at] = 10.0f;
  dirty.input.set(dirty.x);
  for (PlannedOp* run : {&clean, &dirty}) {
    for (const std::size_t at : places_behind(c, 8, run->r.size())) run->r[at] = 0.0f;
    run->output_gradient.set(run->r);
    run->forward();
    run->backward();
  }
  EXPECT_EQ(clean.input_gradient.values(), dirty.input_gradient.values());
  std::vector<float> want = clean.output.values(), got = dirty.output.values();
  for (const std::size_t at : places_behind(c, 8, want.size())) want[at] = got[at] = 0.0f;
  EXPECT_EQ(got, want);
}

// The same bits as without lengths, and of a step with others before it.
TEST_P(BackendSequence, WholeSamplesAreAsWithoutLengths) {
  for (const bool both : {false, true}) {
    const Case c{"lstm", RecurrentDesc{{3, 5, 1, 4}, kLstm, 7, both}};
    PlannedOp plain = planned(*device_, c), whole = planned(*device_, c);
    plain.forward();
    plain.backward();
    for (const std::vector<std::int32_t>& lengths : {std::vector<std::int32_t>{2, 5, 1}, {5, 5, 5}}) {
      whole.lengths = lengths;
      whole.output_gradient.set(whole.r);
      whole.forward();
      whole.backward();
    }
    expect_equal_bits(plain, whole);
    whole.lengths.clear();
    whole.forward();
    EXPECT_EQ(whole.output.values(), plain.output.values());
  }
}

// Numbers that float32 holds exactly with 4096 added: normalized they are the same, to a few roundings of what is left.
TEST_P(BackendSequence, NormsKeepTheDigitsOfNumbersFarFromZero) {
  for (const OpDesc& desc : {OpDesc(LayerNormDesc{{4, 9, 1, 128}}), OpDesc(GroupNormDesc{{3, 40, 40, 8}, 2})}) {
    std::vector<float> x = input_for(desc), far = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = std::round(x[i] * 2048.0f) / 2048.0f;
      far[i] = 4096.0f + x[i];
    }
    PlannedOp near_zero(*device_, desc, {}, x, 0.0f), far_off(*device_, desc, {}, far, 0.0f);
    for (PlannedOp* run : {&near_zero, &far_off}) {
      run->forward();
      run->backward();
    }
    const std::vector<float> want = near_zero.output.values(), got = far_off.output.values();
    // Normalized numbers are below 2, weights and biases below 1: 16 roundings of 3.
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 16 * reference::kRoundoff * 3) << i;
    const std::vector<float> slopes = near_zero.input_gradient.values(), far_slopes = far_off.input_gradient.values();
    // Of g - mean(g) - normal * mean(g normal), at most 1 + 1 + 2, times 1 / deviation, about 1.8.
    for (std::size_t i = 0; i < slopes.size(); ++i) {
      ASSERT_NEAR(far_slopes[i], slopes[i], 16 * reference::kRoundoff * 8) << i;
    }
  }
}

TEST_P(BackendSequence, AttentionLooksBackOnly) {
  const AttentionDesc desc{{1, 40, 1, 48}, 2};
  const std::vector<float> x = input_for(desc);
  for (const std::size_t changed : {0u, 15u, 16u, 31u, 32u, 39u}) {
    std::vector<float> other = x;
    for (std::size_t c = 0; c < 48; ++c) other[changed * 48 + c] += 1.0f;
    PlannedOp first(*device_, desc, {}, x, 0.0f), second(*device_, desc, {}, other, 0.0f);
    first.forward();
    second.forward();
    const std::vector<float> a = first.output.values(), b = second.output.values();
    const auto differs = std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
    EXPECT_EQ(static_cast<std::size_t>(differs) / 16, changed);
  }
}

// Scores of thousands: their exponentials are not numbers, their softmax is.
TEST_P(BackendSequence, AttentionTakesScoresOfAnySize) {
  const AttentionDesc desc{{2, 9, 1, 24}, 1};
  std::vector<float> x = input_for(desc);
  for (float& value : x) value *= 100.0f;
  PlannedOp run(*device_, desc, {}, x, 0.0f);
  run.forward();
  run.backward();
  const Duals want = reference_of({"attention", desc}, run).outputs();
  const std::vector<float> got = run.output.values();
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_LT(want[i].value.error, 5.0) << i;  // of values up to 100
    ASSERT_NEAR(got[i], want[i].value.value, want[i].value.error) << i;
  }
  for (const float slope : run.input_gradient.values()) ASSERT_TRUE(std::isfinite(slope));
}

TEST_P(BackendSequence, AnEmbeddingRefusesWhatIsNoToken) {
  const EmbeddingDesc desc{{2, 3, 1, 1}, 4, 8};
  for (const float wrong : {-1.0f, 4.0f, 1.5f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    PlannedOp run(*device_, desc, {}, {0, 1, 2, 3, 0, wrong}, 0.0f);
    ASSERT_TRUE(run.op->load(0, run.parameters[0], 1).ok());
    Status status = run.op->forward({});
    if (status.ok()) status = run.op->findings();
    ASSERT_FALSE(status.ok()) << wrong;
    EXPECT_EQ(status.error().cause, Cause::kData);
    EXPECT_THAT(status.error().message, testing::HasSubstr("sample 1"));
    EXPECT_THAT(status.error().message, testing::HasSubstr("position 2"));
    EXPECT_THAT(status.error().message, testing::HasSubstr("from 0 to 3"));
  }
}

}  // namespace
}  // namespace rubato::kernels
