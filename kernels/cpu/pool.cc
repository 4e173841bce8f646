// Pooling over channels-last tensors, in own loops: with channels innermost they vectorize, and ReLU
// comes for nothing. Samples are independent, so threads change no bit.
//
// What max pooling saves is a byte for each output: the place in the window that won (the first of equal
// ones), or kNobody where ReLU cut it off.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/parameterless_op.h"

namespace rubato::kernels {
namespace {

constexpr std::uint8_t kNobody = 255;

// `kCount` neighbouring channels in registers. GCC's and clang's vector types: written as plain loops,
// the choice of a winner was not vectorized, and pooling took half of a training step.
template <int kCount>
struct Lanes {
  using Floats [[gnu::vector_size(kCount * sizeof(float))]] = float;
  using Places [[gnu::vector_size(kCount * sizeof(std::int32_t))]] = std::int32_t;
  using Bytes [[gnu::vector_size(kCount)]] = std::uint8_t;

  template <typename Vector, typename Element>
  static Vector load(const Element* from) {
    Vector value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }
  template <typename Vector, typename Element>
  static void store(Element* to, Vector value) {
    std::memcpy(to, &value, sizeof(value));
  }
};

// Calls visit.template operator()<kCount>(first channel) for chunks as wide as they fit.
template <typename Visit>
[[gnu::always_inline]] inline void for_channels(std::int64_t channels, Visit visit) {
  std::int64_t c = 0;
  for (; c + 16 <= channels; c += 16) visit.template operator()<16>(c);
  for (; c + 4 <= channels; c += 4) visit.template operator()<4>(c);
  for (; c < channels; ++c) visit.template operator()<1>(c);
}

class Pool : public ParameterlessOp {
 public:
  Pool(const CpuContext& context, const PoolDesc& desc)
      : threads_(context.threads), window_(desc.window), stride_(desc.stride) {
    info_.input = desc.input;
    info_.output = output_shape(desc);
  }

 protected:
  // visit(output, window): offsets of a pixel of the output, and of its window's corner in the input.
  template <typename Visit>
  void for_windows(Visit visit) const {
    const TensorShape in = info_.input, out = info_.output;
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < out.samples; ++n) {
      for (std::int64_t y = 0; y < out.height; ++y) {
        for (std::int64_t x = 0; x < out.width; ++x) {
          visit(((n * out.height + y) * out.width + x) * out.channels,
                ((n * in.height + y * stride_) * in.width + x * stride_) * in.channels);
        }
      }
    }
  }

  // From the corner of a window to its row r, column s.
  [[nodiscard]] std::int64_t offset(std::int64_t r, std::int64_t s) const {
    return (r * info_.input.width + s) * info_.input.channels;
  }

  // Backward writes each input once if windows tile the input; otherwise it adds into zeros.
  [[nodiscard]] bool tiles() const {
    return stride_ == window_ && info_.input.height % window_ == 0 && info_.input.width % window_ == 0;
  }
  void clear_input_gradient() const { std::fill_n(ports_.input_gradient, info_.input.elements(), 0.0f); }

  const int threads_;
  const std::int64_t window_, stride_;
};

class MaxPool final : public Pool {
 public:
  MaxPool(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint)
      : Pool(context, desc), relu_(desc.kind == PoolDesc::Kind::kMaxRelu), training_(hint.training) {
    RUBATO_CHECK(window_ * window_ < kNobody, "a window of {} x {} is too large", window_, window_);
    if (training_) info_.saved_bytes = static_cast<std::size_t>(info_.output.elements());
    info_.algorithms = {{"forward", "loop"}, {"backward_data", "loop"}};
  }

  Status forward(const SampleKeys&) override;
  Status backward_data() override;

 private:
  template <int kCount>
  void reduce(std::int64_t output, const float* window) const;
  template <int kCount>
  void scatter(std::int64_t output, float* window, bool add) const;

  const bool relu_, training_;
};

template <int kCount>
void MaxPool::reduce(std::int64_t output, const float* window) const {
  using L = Lanes<kCount>;
  auto best = L::template load<typename L::Floats>(window);
  typename L::Places winner = {};
  for (std::int64_t r = 0; r < window_; ++r) {
    for (std::int64_t s = 0; s < window_; ++s) {
      const auto candidate = L::template load<typename L::Floats>(window + offset(r, s));
      const auto place = static_cast<std::int32_t>(r * window_ + s);
      // A NaN wins, so that it is not swallowed here.
      const typename L::Places wins = (candidate > best) | (candidate != candidate);
      best = wins ? candidate : best;
      winner = wins ? winner * 0 + place : winner;
    }
  }
  if (relu_) {
    const typename L::Places cut = best <= 0.0f;
    best = cut ? best * 0.0f : best;
    winner = cut ? winner * 0 + kNobody : winner;
  }
  L::store(ports_.output + output, best);
  if (!training_) return;
  L::store(static_cast<std::uint8_t*>(ports_.saved) + output, __builtin_convertvector(winner, typename L::Bytes));
}

Status MaxPool::forward(const SampleKeys&) {
  for_windows([this](std::int64_t output, std::int64_t window) {
    for_channels(info_.input.channels,
                 [&]<int kCount>(std::int64_t c) { reduce<kCount>(output + c, ports_.input + window + c); });
  });
  return {};
}

template <int kCount>
void MaxPool::scatter(std::int64_t output, float* window, bool add) const {
  using L = Lanes<kCount>;
  using Floats = typename L::Floats;
  const auto gradient = L::template load<Floats>(ports_.output_gradient + output);
  const auto saved = L::template load<typename L::Bytes>(static_cast<const std::uint8_t*>(ports_.saved) + output);
  const auto winner = __builtin_convertvector(saved, typename L::Places);
  const Floats zero = {};
  for (std::int64_t r = 0; r < window_; ++r) {
    for (std::int64_t s = 0; s < window_; ++s) {
      float* const to = window + offset(r, s);
      const auto place = static_cast<std::int32_t>(r * window_ + s);
      const Floats share = winner == place ? gradient : zero;
      L::store(to, add ? L::template load<Floats>(to) + share : share);
    }
  }
}

Status MaxPool::backward_data() {
  const bool add = !tiles();
  if (add) clear_input_gradient();
  for_windows([this, add](std::int64_t output, std::int64_t window) {
    for_channels(info_.input.channels, [&]<int kCount>(std::int64_t c) {
      scatter<kCount>(output + c, ports_.input_gradient + window + c, add);
    });
  });
  return {};
}

class AveragePool final : public Pool {
 public:
  AveragePool(const CpuContext& context, const PoolDesc& desc)
      : Pool(context, desc), share_(1.0f / static_cast<float>(desc.window * desc.window)) {
    info_.algorithms = {{"forward", "loop"}, {"backward_data", "loop"}};
  }

  Status forward(const SampleKeys&) override;
  Status backward_data() override;

 private:
  const float share_;
};

Status AveragePool::forward(const SampleKeys&) {
  for_windows([this](std::int64_t output, std::int64_t window) {
    for_channels(info_.input.channels, [&]<int kCount>(std::int64_t c) {
      using L = Lanes<kCount>;
      typename L::Floats sum = {};
      for (std::int64_t r = 0; r < window_; ++r) {
        for (std::int64_t s = 0; s < window_; ++s) {
          sum += L::template load<typename L::Floats>(ports_.input + window + c + offset(r, s));
        }
      }
      L::store(ports_.output + output + c, share_ * sum);
    });
  });
  return {};
}

Status AveragePool::backward_data() {
  clear_input_gradient();
  for_windows([this](std::int64_t output, std::int64_t window) {
    const float* const gradient = ports_.output_gradient + output;
    for (std::int64_t r = 0; r < window_; ++r) {
      for (std::int64_t s = 0; s < window_; ++s) {
        float* to = ports_.input_gradient + window + offset(r, s);
        for (std::int64_t c = 0; c < info_.input.channels; ++c) to[c] += share_ * gradient[c];
      }
    }
  });
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const PoolDesc& desc, const PlanHint& hint) {
  if (desc.kind == PoolDesc::Kind::kAverage) return std::make_unique<AveragePool>(context, desc);
  return std::make_unique<MaxPool>(context, desc, hint);
}

}  // namespace rubato::kernels
