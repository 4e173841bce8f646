// The operations for sequences, by PyTorch's documented formulas, in numbers that carry their own tolerance
// (tests/kernels/rounded.h); without a look at any backend. `values`: the input, then the parameters in their order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

#include "kernels/op_desc.h"
#include "tests/kernels/rounded.h"

namespace rubato::kernels::reference {

// Of each sample, or none: all are whole.
using Lengths = std::vector<std::int32_t>;

inline std::int64_t length_of(const Lengths& lengths, std::int64_t sample, std::int64_t positions) {
  return lengths.empty() ? positions : lengths[static_cast<std::size_t>(sample)];
}

// torch.nn.functional.layer_norm and group_norm, of the numbers whose places are given.
inline void normalize(const Duals& x, const std::vector<std::size_t>& places, std::int64_t channels, double epsilon,
                      const Values& values, Duals& y) {
  const Dual n(static_cast<double>(places.size()));
  Sum sum, squares;
  for (const std::size_t at : places) sum.add(x[at]);
  const Dual mean = sum.total() / n;
  for (const std::size_t at : places) squares.add((x[at] - mean) * (x[at] - mean));
  const Dual deviation = sqrt_of(squares.total() / n + Dual(epsilon));
  for (const std::size_t at : places) {
    const std::size_t c = at % static_cast<std::size_t>(channels);
    y[at] = (x[at] - mean) / deviation * values[1][c] + values[2][c];
  }
}

inline Duals outputs(const LayerNormDesc& d, const Values& values) {
  const auto channels = static_cast<std::size_t>(d.input.channels);
  Duals y(values[0].size());
  for (std::size_t row = 0; row < y.size() / channels; ++row) {
    std::vector<std::size_t> places;
    for (std::size_t c = 0; c < channels; ++c) places.push_back(row * channels + c);
    normalize(values[0], places, d.input.channels, d.epsilon, values, y);
  }
  return y;
}

inline Duals outputs(const GroupNormDesc& d, const Values& values) {
  const TensorShape in = d.input;
  Duals y(values[0].size());
  for (std::int64_t n = 0; n < in.samples; ++n) {
    for (std::int64_t group = 0; group < d.groups; ++group) {
      std::vector<std::size_t> places;
      for (std::int64_t pixel = 0; pixel < in.height * in.width; ++pixel) {
        for (std::int64_t c = 0; c < in.channels; ++c) {
          if (c / (in.channels / d.groups) != group) continue;
          places.push_back(static_cast<std::size_t>((n * in.height * in.width + pixel) * in.channels + c));
        }
      }
      normalize(values[0], places, in.channels, d.epsilon, values, y);
    }
  }
  return y;
}

inline Duals outputs(const EmbeddingDesc& d, const Values& values) {
  Duals y;
  const auto width = static_cast<std::size_t>(d.width);
  const auto positions = static_cast<std::size_t>(d.input.elements_per_sample());
  for (std::size_t at = 0; at < values[0].size(); ++at) {
    const auto token = static_cast<std::size_t>(values[0][at].value.value);
    for (std::size_t c = 0; c < width; ++c) {
      const Dual row = values[1][token * width + c];
      y.push_back(d.positions ? row + values[2][at % positions * width + c] : row);
    }
  }
  return y;
}

// torch.nn.functional.scaled_dot_product_attention(is_causal=True), with heads cut from neighbouring channels.
inline Duals outputs(const AttentionDesc& d, const Values& values) {
  const std::int64_t positions = d.input.height, width = d.input.channels / 3, size = width / d.heads;
  const double root = 1.0 / std::sqrt(static_cast<double>(size));
  const Dual scale(Rounded(root, kRoundoff * root), 0.0);
  const auto x = [&](std::int64_t sample, std::int64_t position, std::int64_t channel) {
    return values[0][static_cast<std::size_t>((sample * positions + position) * 3 * width + channel)];
  };
  Duals y(static_cast<std::size_t>(d.input.samples * positions * width));
  for (std::int64_t at = 0; at < d.input.samples * d.heads * positions; ++at) {
    const std::int64_t i = at % positions, head = at / positions % d.heads, n = at / positions / d.heads;
    Duals chances;
    double most = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j <= i; ++j) {
      Sum score;
      for (std::int64_t c = head * size; c < (head + 1) * size; ++c) score.add(x(n, i, c) * x(n, j, width + c));
      chances.push_back(scale * score.total());
      most = std::max(most, chances.back().value.value);
    }
    Sum sum;
    for (Dual& chance : chances) {
      chance = exp_of(chance - Dual(most));  // whatever is taken off, the softmax is the same
      sum.add(chance);
    }
    for (std::int64_t c = head * size; c < (head + 1) * size; ++c) {
      Sum mean;
      for (std::int64_t j = 0; j <= i; ++j) mean.add(chances[static_cast<std::size_t>(j)] * x(n, j, 2 * width + c));
      y[static_cast<std::size_t>((n * positions + i) * width + c)] = mean.total() / sum.total();
    }
  }
  return y;
}

// torch.nn.LSTM and torch.nn.GRU, one layer, batch first; direction 0 or 1, whose channels of `y` it writes.
inline void read_sequence(const RecurrentDesc& d, const Values& all, const Lengths& lengths, std::int64_t direction,
                          Duals& y) {
  const std::int64_t positions = d.input.height, inputs = d.input.channels, units = d.units;
  const std::int64_t outputs_each = d.last_only ? 1 : positions, width = d.directions() * units;
  Values values{all[0]};
  for (std::size_t i = 1; i <= 4; ++i) values.push_back(all[static_cast<std::size_t>(4 * direction) + i]);
  for (std::int64_t n = 0; n < d.input.samples; ++n) {
    const std::int64_t length = length_of(lengths, n, positions);
    Duals h(static_cast<std::size_t>(units), Dual(0.0)), c = h;
    for (std::int64_t step = 0; step < length; ++step) {
      const std::int64_t t = direction == 1 ? length - 1 - step : step;
      // W_ih x + b_ih and W_hh h + b_hh of gate `gate`, unit `u`.
      const auto from_input = [&](std::int64_t gate, std::int64_t u) {
        const std::int64_t row = gate * units + u;
        Sum sum;
        for (std::int64_t i = 0; i < inputs; ++i) {
          sum.add(values[1][static_cast<std::size_t>(row * inputs + i)] *
                  values[0][static_cast<std::size_t>((n * positions + t) * inputs + i)]);
        }
        sum.add(values[3][static_cast<std::size_t>(row)]);
        return sum.total();
      };
      const auto from_state = [&](std::int64_t gate, std::int64_t u) {
        const std::int64_t row = gate * units + u;
        Sum sum;
        for (std::int64_t i = 0; i < units; ++i) {
          sum.add(values[2][static_cast<std::size_t>(row * units + i)] * h[static_cast<std::size_t>(i)]);
        }
        sum.add(values[4][static_cast<std::size_t>(row)]);
        return sum.total();
      };
      const auto both = [&](std::int64_t gate, std::int64_t u) { return from_input(gate, u) + from_state(gate, u); };
      Duals next(h.size());
      for (std::int64_t u = 0; u < units; ++u) {
        const auto at = static_cast<std::size_t>(u);
        if (d.cell == RecurrentDesc::Cell::kLstm) {
          c[at] = sigmoid_of(both(1, u)) * c[at] + sigmoid_of(both(0, u)) * tanh_of(both(2, u));
          next[at] = sigmoid_of(both(3, u)) * tanh_of(c[at]);
        } else {
          const Dual r = sigmoid_of(both(0, u)), z = sigmoid_of(both(1, u));
          next[at] = (Dual(1.0) - z) * tanh_of(from_input(2, u) + r * from_state(2, u)) + z * h[at];
        }
      }
      h = next;
      if (d.last_only && step < length - 1) continue;
      for (std::int64_t u = 0; u < units; ++u) {
        y[static_cast<std::size_t>((n * outputs_each + (d.last_only ? 0 : t)) * width + direction * units + u)] =
            h[static_cast<std::size_t>(u)];
      }
    }
  }
}

inline Duals outputs(const RecurrentDesc& d, const Values& values, const Lengths& lengths) {
  Duals y(static_cast<std::size_t>(output_shape(d).elements()), Dual(0.0));
  for (std::int64_t direction = 0; direction < d.directions(); ++direction)
    read_sequence(d, values, lengths, direction, y);
  return y;
}

inline Duals outputs(const GlobalAverageDesc& d, const Values& values, const Lengths& lengths) {
  const TensorShape in = d.input;
  Duals y;
  for (std::int64_t n = 0; n < in.samples; ++n) {
    const std::int64_t pixels = length_of(lengths, n, in.height) * in.width;
    for (std::int64_t c = 0; c < in.channels; ++c) {
      Sum sum;
      for (std::int64_t pixel = 0; pixel < pixels; ++pixel)
        sum.add(values[0][static_cast<std::size_t>((n * in.height * in.width + pixel) * in.channels + c)]);
      y.push_back(sum.total() / Dual(static_cast<double>(pixels)));
    }
  }
  return y;
}

inline Duals outputs(const OpDesc& desc, const Values& values, const Lengths& lengths = {}) {
  if (const auto* average = std::get_if<GlobalAverageDesc>(&desc)) return outputs(*average, values, lengths);
  if (const auto* norm = std::get_if<LayerNormDesc>(&desc)) return outputs(*norm, values);
  if (const auto* norm = std::get_if<GroupNormDesc>(&desc)) return outputs(*norm, values);
  if (const auto* recurrent = std::get_if<RecurrentDesc>(&desc)) return outputs(*recurrent, values, lengths);
  if (const auto* attention = std::get_if<AttentionDesc>(&desc)) return outputs(*attention, values);
  return outputs(std::get<EmbeddingDesc>(desc), values);
}

}  // namespace rubato::kernels::reference
