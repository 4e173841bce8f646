// What residual networks are made of beside convolutions, by PyTorch's documented formulas, in numbers that carry their
// own tolerance (tests/kernels/rounded.h); without a look at any backend. `values`: the input, the parameters in their
// order, the addend.
#pragma once

#include <cstddef>
#include <variant>
#include <vector>

#include "kernels/op_desc.h"
#include "tests/kernels/rounded.h"

namespace rubato::kernels::reference {

inline Dual activated(const Dual& x, Activation activation) {
  return activation == Activation::kRelu && x.value.value < 0.0 ? Dual() : x;
}

struct ChannelStatistics {
  Dual mean, variance;  // over n
  double rows = 0.0;
};

inline ChannelStatistics statistics_of(const Duals& x, std::size_t channels, std::size_t channel) {
  const Dual n(static_cast<double>(x.size() / channels));
  Sum sum, squares;
  for (std::size_t at = channel; at < x.size(); at += channels) sum.add(x[at]);
  const Dual mean = sum.total() / n;
  for (std::size_t at = channel; at < x.size(); at += channels) squares.add((x[at] - mean) * (x[at] - mean));
  return {mean, squares.total() / n, n.value.value};
}

inline Duals batch_norm(const BatchNormDesc& d, const Values& values, bool training) {
  const auto channels = static_cast<std::size_t>(d.input.channels);
  Duals y(values[0].size());
  for (std::size_t c = 0; c < channels; ++c) {
    const ChannelStatistics own =
        training && !d.fixed ? statistics_of(values[0], channels, c) : ChannelStatistics{values[3][c], values[4][c]};
    const Dual deviation = sqrt_of(own.variance + Dual(d.epsilon));
    for (std::size_t at = c; at < y.size(); at += channels) {
      Dual value = (values[0][at] - own.mean) / deviation * values[1][c] + values[2][c];
      if (d.adds) value = value + values.back()[at];
      y[at] = activated(value, d.activation);
    }
  }
  return y;
}

inline Duals add(const AddDesc& d, const Values& values) {
  Duals y;
  for (std::size_t at = 0; at < values[0].size(); ++at)
    y.push_back(activated(values[0][at] + values.back()[at], d.activation));
  return y;
}

inline Duals global_average(const GlobalAverageDesc& d, const Values& values) {
  const auto channels = static_cast<std::size_t>(d.input.channels);
  const std::size_t sample = static_cast<std::size_t>(d.input.elements_per_sample());
  Duals y;
  for (std::size_t first = 0; first < values[0].size(); first += sample)
    for (std::size_t c = 0; c < channels; ++c) {
      Sum sum;
      for (std::size_t at = c; at < sample; at += channels) sum.add(values[0][first + at]);
      y.push_back(sum.total() / Dual(static_cast<double>(sample / channels)));
    }
  return y;
}

inline Duals residual_outputs(const OpDesc& desc, const Values& values, bool training) {
  if (const auto* norm = std::get_if<BatchNormDesc>(&desc)) return batch_norm(*norm, values, training);
  if (const auto* sum = std::get_if<AddDesc>(&desc)) return add(*sum, values);
  return global_average(std::get<GlobalAverageDesc>(desc), values);
}

}  // namespace rubato::kernels::reference
