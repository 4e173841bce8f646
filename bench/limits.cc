#include "bench/limits.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "bench/plain_update.h"
#include "bench/touch.h"

namespace rubato::bench {

void Measured::set_trips(std::vector<TimeNs> trips) {
  if (trips.empty()) return;
  std::ranges::sort(trips);
  p50_us = 1e-3 * static_cast<double>(trips[trips.size() / 2]);
  p99_us = 1e-3 * static_cast<double>(trips[trips.size() * 99 / 100]);
}

nlohmann::json Measured::json() const {
  return {{"seconds", seconds}, {"cpu_s", used.cpu_s}, {"faults", used.faults}, {"p50_us", p50_us}, {"p99_us", p99_us}};
}

Limits::Limits(const Case& test, const FarEnds& far_ends, std::shared_ptr<Memory> memory)
    : test_(test),
      rule_(kernels::make_rule(test.job().optimizer).value()),
      far_ends_(far_ends),
      memory_(std::move(memory)) {}

void Limits::measure(std::span<const std::span<float>> gradients) {
  if (sent_.empty()) allocate(gradients);
  ++round_;
  if (test_.has_rule()) {
    const std::size_t all = gradients.size(), half = all / 2;
    time("update", 0, [&](Measured&) { update(gradients, 0, all); });
    time("update by two", 0, [&](Measured&) {
      const std::jthread other([&] { update(gradients, half, all); });
      update(gradients, 0, half);
    });
  }
  time("memcpy", 0, [&](Measured&) { copy(gradients); });
  const RawRound round{.window = test_.pusher.window,
                       .write = test_.pusher.write,
                       .read = test_.pusher.read,
                       .value = 1e-3f * static_cast<float>(round_)};
  constexpr std::array kNames = {"tcp", "zmq"};
  for (std::size_t kind = 0; kind < kRawKinds.size(); ++kind)
    time(kNames[kind], far_ends_[kind].process,
         [&](Measured& measured) { measured.set_trips(raw_[kind]->run(gradients, round)); });
}

void Limits::chill() {
  if (test_.warm) return;
  if (chilled_.empty()) {
    constexpr long kUnknown = 256l << 20;
    const long shared_cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
    chilled_.resize(2 * static_cast<std::size_t>(shared_cache > 0 ? shared_cache : kUnknown) / sizeof(chilled_[0]));
  }
  for (std::uint64_t& value : chilled_) ++value;
}

template <typename Work>
void Limits::time(const char* name, pid_t other, const Work& work) {
  const auto used = [&] { return usage_of(::getpid()) + (other == 0 ? Usage() : usage_of(other)); };
  Measured measured;
  chill();
  const Usage before = used();
  const TimeNs began = steady_now();
  work(measured);
  measured.seconds = seconds(steady_now() - began);
  measured.used = used() - before;
  rounds_[name].push_back(measured.json());
}

void Limits::allocate(std::span<const std::span<float>> gradients) {
  const auto plane = [&](std::size_t floats) {
    blocks_.push_back(memory_->floats(floats));
    return std::span(blocks_.back().get(), floats);
  };
  for (const auto& gradient : gradients) {
    sent_.push_back(plane(gradient.size()));
    back_.push_back(plane(gradient.size()));
    if (!test_.has_rule()) continue;
    kernels::SlotView& slot = slots_.emplace_back();
    slot.weights = plane(gradient.size());
    for (std::size_t i = 0; i < kernels::state_planes(rule_.kind); ++i) slot.state[i] = plane(gradient.size());
    for (std::size_t other = 1; other < test_.terms(); ++other) {
      others_.push_back(plane(gradient.size()));
      std::ranges::fill(others_.back(), 1e-3f);
    }
  }
  const RawShape shape{gradients.front().size(), gradients.size()};
  for (const auto& gradient : gradients)
    RUBATO_CHECK(gradient.size() == shape.floats, "slices of unequal size: raw messages are all the same");
  for (std::size_t kind = 0; kind < kRawKinds.size(); ++kind)
    raw_[kind] = connect_raw(kRawKinds[kind], far_ends_[kind].address, shape);
}

void Limits::update(std::span<const std::span<float>> gradients, std::size_t first, std::size_t end) {
  kernels::UpdateScalars scalars{.rate = 1e-3};
  scalars.update_count = round_;
  const std::size_t others = test_.terms() - 1;
  std::vector<kernels::SumTerm> terms(test_.terms());
  for (std::size_t i = first; i < end; ++i) {
    const float value = 1e-3f * static_cast<float>(round_);
    if (test_.pusher.write) std::ranges::fill(gradients[i], value);
    terms[0] = {gradients[i]};
    for (std::size_t other = 0; other < others; ++other) {
      const std::span<float> gradient = others_[i * others + other];
      if (test_.pusher.write) std::ranges::fill(gradient, value);
      terms[1 + other] = {gradient, 1};
    }
    update_plainly(rule_, scalars, terms, slots_[i]);
    // Each of the workers reads them.
    for (std::size_t reader = 0; test_.pusher.read && reader < test_.terms(); ++reader)
      touched_ ^= touch(slots_[i].weights);
  }
}

// Each gradient to where the shard would have it, and as many bytes back.
void Limits::copy(std::span<const std::span<float>> gradients) {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (test_.pusher.write) std::ranges::fill(gradients[i], 1e-3f * static_cast<float>(round_));
    std::memcpy(sent_[i].data(), gradients[i].data(), gradients[i].size_bytes());
    const std::size_t other = (i + gradients.size() / 2) % gradients.size();  // of another slice: not what is warm
    std::memcpy(back_[i].data(), sent_[other].data(), gradients[i].size_bytes());
    if (test_.pusher.read) touched_ ^= touch(back_[i]);
  }
}

}  // namespace rubato::bench
