// The operations again, in float64, in the plainest loops: what backends are held against. Written from
// the definitions in kernels/op_desc.h, without a look at any backend. Gradients are not written at
// all: tests take finite differences of these.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/op_desc.h"

namespace rubato::kernels::reference {

using Doubles = std::vector<double>;

inline Doubles widen(const std::vector<float>& values) { return {values.begin(), values.end()}; }

inline double activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::kNone:
      break;
  }
  return x;
}

inline Activation activation_of(const OpDesc& desc) {
  return std::visit(
      [](const auto& d) {
        if constexpr (requires { d.activation; }) return d.activation;
        return Activation::kNone;
      },
      desc);
}

// Before the activation. All indices are NHWC.
inline Doubles linear(const DenseDesc& d, const Doubles& x, const Doubles& w, const Doubles& b) {
  const std::int64_t inputs = d.per_position ? d.input.channels : d.input.elements_per_sample();
  Doubles y;
  for (std::int64_t n = 0; n < d.input.elements() / inputs; ++n) {
    for (std::int64_t o = 0; o < d.units; ++o) {
      double sum = b[o];
      for (std::int64_t i = 0; i < inputs; ++i) sum += x[n * inputs + i] * w[o * inputs + i];
      y.push_back(sum);
    }
  }
  return y;
}

inline Doubles linear(const ConvolutionDesc& d, const Doubles& x, const Doubles& w, const Doubles& b) {
  const TensorShape in = d.input, out = output_shape(d);
  Doubles y(out.elements());
  for (std::int64_t at = 0; at < out.elements(); ++at) {
    const std::int64_t o = at % out.channels, column = at / out.channels % out.width,
                       row = at / out.channels / out.width % out.height, n = at / out.elements_per_sample();
    y[at] = d.bias ? b[o] : 0.0;
    for (std::int64_t r = 0; r < d.kernel; ++r) {
      for (std::int64_t s = 0; s < d.kernel; ++s) {
        const std::int64_t h = row * d.stride + r - d.padding, v = column * d.stride + s - d.padding;
        if (h < 0 || h >= in.height || v < 0 || v >= in.width) continue;
        const double* pixel = &x[((n * in.height + h) * in.width + v) * in.channels];
        const double* weights = &w[((o * d.kernel + r) * d.kernel + s) * in.channels];
        y[at] = std::inner_product(pixel, pixel + in.channels, weights, y[at]);
      }
    }
  }
  return y;
}

inline Doubles linear(const PoolDesc& d, const Doubles& x, const Doubles&, const Doubles&) {
  const TensorShape in = d.input, out = output_shape(d);
  const bool max = d.kind == PoolDesc::Kind::kMax;
  Doubles y(out.elements());
  for (std::int64_t at = 0; at < out.elements(); ++at) {
    const std::int64_t c = at % out.channels, column = at / out.channels % out.width,
                       row = at / out.channels / out.width % out.height, n = at / out.elements_per_sample();
    double result = max ? -std::numeric_limits<double>::infinity() : 0.0;
    std::int64_t within = 0;
    for (std::int64_t r = 0; r < d.window; ++r) {
      for (std::int64_t s = 0; s < d.window; ++s) {
        const std::int64_t h = row * d.stride + r - d.padding, v = column * d.stride + s - d.padding;
        if (h < 0 || h >= in.height || v < 0 || v >= in.width) continue;
        ++within;
        const double value = x[((n * in.height + h) * in.width + v) * in.channels + c];
        result = max ? std::max(result, value) : result + value;
      }
    }
    y[at] = max ? result : result / static_cast<double>(within);
  }
  return y;
}

inline Doubles linear(const GlobalAverageDesc& d, const Doubles& x) {
  const std::int64_t channels = d.input.channels, pixels = d.input.height * d.input.width;
  Doubles y(d.input.samples * channels);
  for (std::size_t at = 0; at < x.size(); ++at) {
    const auto sample = static_cast<std::int64_t>(at) / (pixels * channels);
    y[sample * channels + static_cast<std::int64_t>(at) % channels] += x[at] / static_cast<double>(pixels);
  }
  return y;
}

// Before addition and activation; `parameters`: weight, bias, running mean, running variance.
inline Doubles batch_norm(const BatchNormDesc& d, const Doubles& x, const std::vector<Doubles>& parameters,
                          bool training) {
  const auto channels = static_cast<std::size_t>(d.input.channels);
  const double n = static_cast<double>(x.size() / channels);
  Doubles y(x.size());
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = parameters[2][c], variance = parameters[3][c];
    if (training) {
      mean = variance = 0.0;
      for (std::size_t at = c; at < x.size(); at += channels) mean += x[at] / n;
      for (std::size_t at = c; at < x.size(); at += channels) variance += (x[at] - mean) * (x[at] - mean) / n;
    }
    for (std::size_t at = c; at < x.size(); at += channels)
      y[at] = (x[at] - mean) / std::sqrt(variance + d.epsilon) * parameters[0][c] + parameters[1][c];
  }
  return y;
}

inline Doubles linear(const OpDesc& desc, const Doubles& x, const Doubles& w, const Doubles& b) {
  if (const auto* dense = std::get_if<DenseDesc>(&desc)) return linear(*dense, x, w, b);
  if (const auto* convolution = std::get_if<ConvolutionDesc>(&desc)) return linear(*convolution, x, w, b);
  if (const auto* average = std::get_if<GlobalAverageDesc>(&desc)) return linear(*average, x);
  if (std::holds_alternative<ActivationDesc>(desc)) return x;
  return linear(std::get<PoolDesc>(desc), x, w, b);
}

inline Doubles absolute(Doubles values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

inline double dot(const Doubles& a, const Doubles& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace rubato::kernels::reference
