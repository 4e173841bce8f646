// Restricted Boltzmann machines: the k-step estimate against plain loops in float64 that draw the same bits, and its
// mean over many chains against the exact gradient, by enumeration of all states of a tiny machine.
#include "kernels/rbm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "kernels/backend.h"
#include "tests/kernels/backend_fixture.h"

namespace rubato::kernels {
namespace {

constexpr double kEps = 0x1p-24;
using Doubles = std::vector<double>;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

struct Machine {
  Machine(std::int64_t v, std::int64_t h)
      : visible(static_cast<std::size_t>(v)),
        hidden(static_cast<std::size_t>(h)),
        w(random_floats(visible * hidden, "weights")),
        b(random_floats(hidden, "hidden bias")),
        a(random_floats(visible, "visible bias")) {}

  [[nodiscard]] RbmWeights view() const { return {w, b, a}; }
  [[nodiscard]] Doubles up(const Doubles& v) const {
    Doubles h;
    for (std::size_t j = 0; j < hidden; ++j) {
      double sum = b[j];
      for (std::size_t i = 0; i < visible; ++i) sum += v[i] * w[j * visible + i];
      h.push_back(sigmoid(sum));
    }
    return h;
  }
  [[nodiscard]] Doubles down(const Doubles& h) const {
    Doubles v;
    for (std::size_t i = 0; i < visible; ++i) {
      double sum = a[i];
      for (std::size_t j = 0; j < hidden; ++j) sum += h[j] * w[j * visible + i];
      v.push_back(sigmoid(sum));
    }
    return v;
  }
  // The largest sum of absolute terms in either direction.
  [[nodiscard]] double largest_sum() const { return static_cast<double>(std::max(visible, hidden)) + 1.0; }

  std::size_t visible, hidden;
  std::vector<float> w, b, a;
};

struct Statistics {
  explicit Statistics(const Machine& m) : w(m.w.size()), b(m.b.size()), a(m.a.size()) {}
  void add(const Doubles& v, const Doubles& h, double weight) {
    for (std::size_t j = 0; j < h.size(); ++j)
      for (std::size_t i = 0; i < v.size(); ++i) w[j * v.size() + i] += weight * v[i] * h[j];
    for (std::size_t j = 0; j < h.size(); ++j) b[j] += weight * h[j];
    for (std::size_t i = 0; i < v.size(); ++i) a[i] += weight * v[i];
  }
  Doubles w, b, a;
};

struct Gradient {
  explicit Gradient(const Machine& m) : w(m.w.size(), -7.0f), b(m.b.size(), -7.0f), a(m.a.size(), -7.0f) {}
  [[nodiscard]] RbmGradient view() { return {w, b, a}; }
  std::vector<float> w, b, a;
};

void expect_near(const std::vector<float>& got, const Doubles& want, double allowed) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], allowed) << i;
}

// As the page of kernels/rbm.h says which bit belongs where.
Doubles drawn(const Doubles& p, const RbmDesc& desc, std::uint64_t epoch, std::uint64_t id, std::uint64_t place) {
  const std::uint64_t key = stream_key(stream_key(desc.seed, "gibbs", desc.machine), "epoch", epoch);
  Doubles states;
  for (std::size_t unit = 0; unit < p.size(); ++unit)
    states.push_back(unit_float(philox4x32(key, place << 32 | unit / 4, id)[unit % 4]) < p[unit] ? 1.0 : 0.0);
  return states;
}

// One sample's part of the gradient. `chain` is where it starts, and ends.
void add_sample(const Machine& m, const RbmDesc& desc, std::uint64_t epoch, std::uint64_t id, const Doubles& data,
                Doubles& chain, Statistics& sum) {
  sum.add(data, m.up(data), -1.0);
  Doubles h = m.up(chain);
  for (std::int64_t step = 0; step < desc.steps; ++step) {
    h = drawn(h, desc, epoch, id, 2 * static_cast<std::uint64_t>(step));
    chain = drawn(m.down(h), desc, epoch, id, 2 * static_cast<std::uint64_t>(step) + 1);
    h = m.up(chain);
  }
  sum.add(chain, h, 1.0);
}

class BackendRbm : public BackendTest {
 protected:
  std::unique_ptr<Rbm> plan(const RbmDesc& desc) { return device_->plan_rbm(desc).value(); }
};
INSTANTIATE_TEST_SUITE_P(Devices, BackendRbm, kDevices, device_test_name);

// A probability is off by a quarter of its argument's error, of as many products as the machine has units, and a few
// roundings; a gradient is a sum of two such terms a sample.
double tolerance(const Machine& m, double samples) {
  const double probability = 0.25 * m.largest_sum() * m.largest_sum() * kEps + 4.0 * kEps;
  return 2.0 * samples * probability + 4.0 * samples * samples * kEps;
}

TEST_P(BackendRbm, TheEstimateIsThatOfTheReferenceWithTheSameBits) {
  for (const bool persistent : {false, true})
    for (const std::int64_t steps : {1, 3}) {
      const Machine m(11, 6);
      const RbmDesc desc{.visible = 11, .hidden = 6, .samples_max = 8, .steps = steps, .seed = 9, .machine = 2};
      const auto rbm = plan(desc);
      std::vector<float> chains;
      std::vector<Doubles> expected_chains;
      // Of the second, fewer; of the third, more than ever: they begin chains of their own.
      std::uint64_t id = 40;
      for (const std::size_t samples : {5, 3, 8}) {
        SCOPED_TRACE(samples);
        std::vector<float> data = random_floats(samples * m.visible, "data " + std::to_string(samples));
        for (float& value : data) value = std::abs(value);
        std::vector<std::uint64_t> ids;
        Statistics expected(m);
        for (std::size_t s = 0; s < samples; ++s) {
          ids.push_back(id++);
          const Doubles row(data.begin() + s * m.visible, data.begin() + (s + 1) * m.visible);
          if (expected_chains.size() <= s) expected_chains.push_back(row);
          Doubles fresh = row;
          add_sample(m, desc, 4, ids.back(), row, persistent ? expected_chains[s] : fresh, expected);
        }
        Gradient got(m);
        ASSERT_TRUE(rbm->gradient(m.view(), {4, ids}, data, persistent ? &chains : nullptr, got.view()).ok());
        const double allowed = tolerance(m, static_cast<double>(samples));
        expect_near(got.w, expected.w, allowed);
        expect_near(got.b, expected.b, allowed);
        expect_near(got.a, expected.a, allowed);
      }
      ASSERT_EQ(chains.size(), persistent ? 8 * m.visible : 0);
      for (std::size_t i = 0; i < chains.size(); ++i)
        ASSERT_EQ(chains[i], expected_chains[i / m.visible][i % m.visible]) << "states, to the bit";
    }
}

// E(v, h) of all 2^7 states gives the model's mean exactly. After 60 steps a chain of this machine has forgotten where
// it began. Each chain's statistics lie within [0, 1], so their mean over n chains has a deviation of at most
// 0.5 / sqrt(n); of 31 numbers none is off by more than five of these, but once in 50,000 tries.
TEST_P(BackendRbm, ManyStepsEstimateTheExactGradient) {
  Machine m(4, 3);
  for (float& weight : m.w) weight *= 2.0f;  // so that the data's part, and few steps, are far from it
  Statistics model(m);
  double z = 0.0;
  for (const bool normalize : {false, true})
    for (unsigned state = 0; state < 1u << (m.visible + m.hidden); ++state) {
      Doubles v, h;
      for (std::size_t i = 0; i < m.visible; ++i) v.push_back(state >> i & 1);
      for (std::size_t j = 0; j < m.hidden; ++j) h.push_back(state >> (m.visible + j) & 1);
      double energy = 0.0;
      for (std::size_t i = 0; i < m.visible; ++i) energy -= m.a[i] * v[i];
      for (std::size_t j = 0; j < m.hidden; ++j) energy -= m.b[j] * h[j];
      for (std::size_t j = 0; j < m.hidden; ++j)
        for (std::size_t i = 0; i < m.visible; ++i) energy -= v[i] * h[j] * m.w[j * m.visible + i];
      if (normalize)
        model.add(v, h, std::exp(-energy) / z);
      else
        z += std::exp(-energy);
    }
  constexpr std::int64_t kChains = 20'000;
  const Doubles start{1.0, 0.0, 0.0, 1.0};
  Statistics exact = model;
  exact.add(start, m.up(start), -1.0);

  const auto rbm = plan({.visible = 4, .hidden = 3, .samples_max = kChains, .steps = 60, .seed = 3});
  std::vector<float> data;
  std::vector<std::uint64_t> ids;
  for (std::int64_t chain = 0; chain < kChains; ++chain) {
    data.insert(data.end(), start.begin(), start.end());
    ids.push_back(static_cast<std::uint64_t>(chain));
  }
  Gradient sum(m);
  ASSERT_TRUE(rbm->gradient(m.view(), {0, ids}, data, nullptr, sum.view()).ok());
  const double allowed = 5.0 * 0.5 / std::sqrt(static_cast<double>(kChains));
  for (auto [got, want] : {std::pair(&sum.w, &exact.w), {&sum.b, &exact.b}, {&sum.a, &exact.a}}) {
    for (float& value : *got) value /= static_cast<float>(kChains);
    expect_near(*got, *want, allowed);
  }
  // One step is not enough of it: the estimate is biased, and this test would see it.
  const auto biased = plan({.visible = 4, .hidden = 3, .samples_max = kChains, .steps = 1, .seed = 3});
  ASSERT_TRUE(biased->gradient(m.view(), {0, ids}, data, nullptr, sum.view()).ok());
  double off = 0.0;
  for (std::size_t i = 0; i < sum.w.size(); ++i)
    off = std::max(off, std::abs(sum.w[i] / static_cast<double>(kChains) - exact.w[i]));
  EXPECT_GT(off, 2.0 * allowed);
}

TEST_P(BackendRbm, TheReconstructionErrorIsTheMeanSquareOverTheUnits) {
  const Machine m(9, 5);
  std::vector<float> data = random_floats(3 * m.visible, "data");
  for (float& value : data) value = std::abs(value);
  double expected = 0.0;
  for (std::size_t s = 0; s < 3; ++s) {
    const Doubles row(data.begin() + s * m.visible, data.begin() + (s + 1) * m.visible);
    const Doubles back = m.down(m.up(row));
    for (std::size_t i = 0; i < row.size(); ++i)
      expected += (row[i] - back[i]) * (row[i] - back[i]) / static_cast<double>(m.visible);
  }
  const auto rbm = plan({.visible = 9, .hidden = 5, .samples_max = 4});
  EXPECT_NEAR(rbm->reconstruction_error(m.view(), data).value(), expected, 3.0 * 2.0 * 2.0 * tolerance(m, 1));
  std::vector<float> hidden(3 * m.hidden);
  ASSERT_TRUE(rbm->hidden(m.view(), data, hidden).ok());
  for (std::size_t s = 0; s < 3; ++s) {
    const Doubles up = m.up(Doubles(data.begin() + s * m.visible, data.begin() + (s + 1) * m.visible));
    for (std::size_t j = 0; j < up.size(); ++j) EXPECT_NEAR(hidden[s * m.hidden + j], up[j], tolerance(m, 1));
  }
}

}  // namespace
}  // namespace rubato::kernels
