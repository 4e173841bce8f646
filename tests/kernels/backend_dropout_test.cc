// Dropout on every device: its mask is the one that the definition names, so it is the same wherever
// and in whatever batch a sample is computed.
#include <cmath>

#include "tests/kernels/backend_fixture.h"

namespace rubato::kernels {
namespace {

constexpr std::uint64_t kSeed = 11, kEpoch = 3;
constexpr std::int64_t kWidth = 37;
constexpr std::uint32_t kLayer = 5;

bool lives(std::uint64_t sample, std::int64_t element, double rate, std::uint64_t epoch) {
  const auto e = static_cast<std::uint64_t>(element);
  const PhiloxBlock block =
      philox4x32(stream_key(kSeed, "dropout", epoch), std::uint64_t{kLayer} << 32 | e / 4, sample);
  return unit_float(block[e % 4]) >= static_cast<float>(rate);
}

class BackendDropout : public BackendTest {
 protected:
  // Forward on ones, then backward on twos.
  std::pair<std::vector<float>, std::vector<float>> run(const std::vector<std::uint64_t>& ids, double rate,
                                                        std::uint64_t epoch) {
    const TensorShape shape{static_cast<std::int64_t>(ids.size()), 1, 1, kWidth};
    auto op = device_->plan(DropoutDesc{shape, rate, kSeed, kLayer}, {}).value();
    const auto size = static_cast<std::size_t>(shape.elements());
    const DeviceFloats input(*device_, size, 1.0f), output(*device_, size, -7.0f);
    const DeviceFloats output_gradient(*device_, size, 2.0f), input_gradient(*device_, size, -7.0f);
    const Buffer saved = device_->allocate(op->info().saved_bytes).value();
    op->bind({input.data(), output.data(), output_gradient.data(), input_gradient.data(), saved.data(), nullptr});
    EXPECT_TRUE(op->forward({epoch, ids}).ok());
    EXPECT_TRUE(op->begin_backward().ok());
    EXPECT_TRUE(op->backward_data().ok());
    return {output.values(), input_gradient.values()};
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, BackendDropout, kDevices, device_test_name);

TEST_P(BackendDropout, ZeroesWhatTheDefinitionSays) {
  const std::vector<std::uint64_t> ids = {4, 0, 1ull << 40, 17};
  for (const double rate : {0.1, 0.5, 0.9}) {
    const auto [output, gradient] = run(ids, rate, kEpoch);
    const auto scale = static_cast<float>(1.0 / (1.0 - rate));
    for (std::size_t i = 0; i < output.size(); ++i) {
      const bool alive = lives(ids[i / kWidth], static_cast<std::int64_t>(i % kWidth), rate, kEpoch);
      EXPECT_EQ(output[i], alive ? scale : 0.0f);
      EXPECT_EQ(gradient[i], alive ? scale * 2.0f : 0.0f);
    }
  }
}

TEST_P(BackendDropout, ChangesWithTheEpoch) {
  const std::vector<std::uint64_t> ids = {1, 2, 3};
  EXPECT_NE(run(ids, 0.5, 1).first, run(ids, 0.5, 2).first);
}

// 64 x 37 draws: the share that dies is within 5 standard deviations of the rate.
TEST_P(BackendDropout, KillsTheShareAskedFor) {
  std::vector<std::uint64_t> ids(64);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = i;
  const double rate = 0.3;
  const std::vector<float> output = run(ids, rate, kEpoch).first;
  const auto dead = static_cast<double>(std::count(output.begin(), output.end(), 0.0f));
  const auto draws = static_cast<double>(output.size());
  EXPECT_NEAR(dead / draws, rate, 5.0 * std::sqrt(rate * (1.0 - rate) / draws));
}

}  // namespace
}  // namespace rubato::kernels
