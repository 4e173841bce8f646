#include "tests/cuda_fake/recurrent_layer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rubato::cuda_fake {
namespace {

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace

RecurrentLayer::Part RecurrentLayer::part(std::int64_t direction, std::int64_t id) const {
  std::int64_t at = 0;
  for (std::int64_t d = 0; d <= direction; ++d)
    for (std::int64_t other = 2 * gates() - 1; other >= 0; --other) {
      if (d == direction && other == id) return {static_cast<std::size_t>(at), static_cast<std::size_t>(at + units)};
      at += part_floats(other);
    }
  return {};
}

std::size_t RecurrentLayer::weight_floats() const {
  std::int64_t sum = 0;
  for (std::int64_t id = 0; id < 2 * gates(); ++id) sum += part_floats(id);
  return static_cast<std::size_t>(directions * sum);
}

struct RecurrentLayer::Walk {
  const RecurrentLayer& layer;
  std::int64_t direction, sample;

  [[nodiscard]] std::int64_t length() const { return layer.lengths[static_cast<std::size_t>(sample)]; }
  [[nodiscard]] std::int64_t position(std::int64_t step) const { return direction == 1 ? length() - 1 - step : step; }
  [[nodiscard]] std::int64_t row(std::int64_t step) const { return sample * layer.positions + position(step); }
  [[nodiscard]] std::int64_t x(std::int64_t step) const { return row(step) * layer.inputs; }
  [[nodiscard]] std::int64_t y(std::int64_t step) const {
    return (row(step) * layer.directions + direction) * layer.units;
  }
  [[nodiscard]] double* kept(double* reserve, std::int64_t step) const {
    return reserve + (direction * layer.samples * layer.positions + row(step)) * kRow * layer.units;
  }
  // A number of the state before the step.
  [[nodiscard]] double before(const float* states, std::int64_t step, std::int64_t unit) const {
    return step == 0 ? 0.0 : static_cast<double>(states[y(step - 1) + unit]);
  }
  // bias + matrix * values, of one unit of a part.
  template <typename Value>
  [[nodiscard]] double product(const float* weights, std::int64_t id, std::int64_t unit, std::int64_t inner,
                               const Value& value) const {
    const Part part = layer.part(direction, id);
    double sum = static_cast<double>(weights[part.bias + static_cast<std::size_t>(unit)]);
    const float* const matrix_row = weights + part.matrix + unit * inner;
    for (std::int64_t i = 0; i < inner; ++i) sum += static_cast<double>(matrix_row[i]) * value(i);
    return sum;
  }

  void forward(const float* inputs, float* states, const float* weights, double* reserve, std::int64_t step) const {
    const std::int64_t units = layer.units, gates = layer.gates();
    double* const row_kept = kept(reserve, step);
    for (std::int64_t u = 0; u < units; ++u) {
      std::vector<double> in, state;
      for (std::int64_t gate = 0; gate < gates; ++gate) {
        in.push_back(product(weights, gate, u, layer.inputs,
                             [&](std::int64_t i) { return static_cast<double>(inputs[x(step) + i]); }));
        state.push_back(
            product(weights, gates + gate, u, units, [&](std::int64_t i) { return before(states, step, i); }));
      }
      const auto keep = [&](std::int64_t what, double value) { return row_kept[what * units + u] = value; };
      double h = 0.0;
      if (layer.lstm) {
        const double i = keep(0, sigmoid(in[0] + state[0])), f = keep(1, sigmoid(in[1] + state[1]));
        const double g = keep(2, std::tanh(in[2] + state[2])), o = keep(3, sigmoid(in[3] + state[3]));
        const double c_before = step == 0 ? 0.0 : kept(reserve, step - 1)[4 * units + u];
        h = o * std::tanh(keep(4, f * c_before + i * g));
      } else {
        const double r = keep(0, sigmoid(in[0] + state[0])), z = keep(1, sigmoid(in[1] + state[1]));
        const double n = keep(2, std::tanh(in[2] + r * keep(3, state[2])));
        h = (1.0 - z) * n + z * before(states, step, u);
      }
      states[y(step) + u] = static_cast<float>(h);
    }
  }

  // From the gradient of a new state, `dh`, to those of the gates before their activations, kept, and what of it goes
  // straight to the state before, returned. `dc`: of the cell's inner state.
  double cell_backward(const float* states, double* reserve, std::int64_t step, std::int64_t u, double dh,
                       double& dc) const {
    const std::int64_t units = layer.units;
    double* const at = kept(reserve, step) + u;
    if (!layer.lstm) {
      const double r = at[0], z = at[units], n = at[2 * units], q = at[3 * units];
      const double dn = dh * (1.0 - z) * (1.0 - n * n);
      at[0] = dn * q * r * (1.0 - r);
      at[units] = dh * (before(states, step, u) - n) * z * (1.0 - z);
      at[2 * units] = dn;
      at[3 * units] = dn * r;
      return dh * z;
    }
    const double i = at[0], f = at[units], g = at[2 * units], o = at[3 * units], tanh_c = std::tanh(at[4 * units]);
    const double c_before = step == 0 ? 0.0 : kept(reserve, step - 1)[4 * units + u];
    dc += dh * o * (1.0 - tanh_c * tanh_c);
    at[0] = dc * g * i * (1.0 - i);
    at[units] = dc * c_before * f * (1.0 - f);
    at[2 * units] = dc * i * (1.0 - g * g);
    at[3 * units] = dh * tanh_c * o * (1.0 - o);
    dc *= f;
    return 0.0;
  }
  // Of a GRU's n the state's part has a gradient of its own.
  [[nodiscard]] std::int64_t of_state(std::int64_t gate) const { return !layer.lstm && gate == 2 ? 3 : gate; }

  void backward_data(const float* states, const float* dy, double* dx, const float* weights, double* reserve) const {
    const std::int64_t units = layer.units, gates = layer.gates();
    std::vector<double> dh(static_cast<std::size_t>(units), 0.0), dc = dh;
    for (std::int64_t step = length() - 1; step >= 0; --step) {
      std::vector<double> next(dh.size(), 0.0);
      for (std::int64_t u = 0; u < units; ++u) {
        const auto at = static_cast<std::size_t>(u);
        next[at] = cell_backward(states, reserve, step, u, dh[at] + static_cast<double>(dy[y(step) + u]), dc[at]);
      }
      const double* const slopes = kept(reserve, step);
      for (std::int64_t gate = 0; gate < gates; ++gate)
        for (std::int64_t u = 0; u < units; ++u) {
          const float* const in = weights + layer.part(direction, gate).matrix + u * layer.inputs;
          const float* const state = weights + layer.part(direction, gates + gate).matrix + u * units;
          for (std::int64_t i = 0; i < layer.inputs; ++i)
            dx[x(step) + i] += static_cast<double>(in[i]) * slopes[gate * units + u];
          for (std::int64_t i = 0; i < units; ++i)
            next[static_cast<std::size_t>(i)] += static_cast<double>(state[i]) * slopes[of_state(gate) * units + u];
        }
      dh = std::move(next);
    }
  }
};

void RecurrentLayer::forward(const float* x, float* y, const float* weights, double* reserve, float fill) const {
  std::vector<double> own;
  if (reserve == nullptr) {
    own.resize(reserve_doubles());
    reserve = own.data();
  }
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    const std::int64_t width = directions * units, end = lengths[static_cast<std::size_t>(sample)];
    std::fill(y + (sample * positions + end) * width, y + (sample + 1) * positions * width, fill);
    for (std::int64_t direction = 0; direction < directions; ++direction)
      for (std::int64_t step = 0; step < end; ++step)
        Walk{*this, direction, sample}.forward(x, y, weights, reserve, step);
  }
}

void RecurrentLayer::backward_data(const float* y, const float* dy, float* dx, const float* weights,
                                   double* reserve) const {
  std::vector<double> sums(static_cast<std::size_t>(samples * positions * inputs), 0.0);
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    for (std::int64_t direction = 0; direction < directions; ++direction)
      Walk{*this, direction, sample}.backward_data(y, dy, sums.data(), weights, reserve);
    const std::int64_t end = lengths[static_cast<std::size_t>(sample)];
    std::fill(sums.begin() + (sample * positions + end) * inputs, sums.begin() + (sample + 1) * positions * inputs,
              std::numeric_limits<double>::quiet_NaN());
  }
  std::ranges::transform(sums, dx, [](double sum) { return static_cast<float>(sum); });
}

void RecurrentLayer::backward_weights(const float* x, const float* y, const double* reserve, float* gradient) const {
  std::vector<double> sums(weight_floats(), 0.0);
  for (std::int64_t direction = 0; direction < directions; ++direction)
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      const Walk walk{*this, direction, sample};
      for (std::int64_t step = 0; step < walk.length(); ++step) {
        const double* const slopes = walk.kept(const_cast<double*>(reserve), step);
        for (std::int64_t gate = 0; gate < gates(); ++gate) {
          const Part in = part(direction, gate), state = part(direction, gates() + gate);
          for (std::int64_t u = 0; u < units; ++u) {
            const double of_input = slopes[gate * units + u], of_state = slopes[walk.of_state(gate) * units + u];
            sums[in.bias + static_cast<std::size_t>(u)] += of_input;
            sums[state.bias + static_cast<std::size_t>(u)] += of_state;
            for (std::int64_t i = 0; i < inputs; ++i)
              sums[in.matrix + static_cast<std::size_t>(u * inputs + i)] +=
                  of_input * static_cast<double>(x[walk.x(step) + i]);
            for (std::int64_t i = 0; i < units; ++i)
              sums[state.matrix + static_cast<std::size_t>(u * units + i)] += of_state * walk.before(y, step, i);
          }
        }
      }
    }
  for (std::size_t i = 0; i < sums.size(); ++i)
    gradient[i] = static_cast<float>(static_cast<double>(gradient[i]) + sums[i]);
}

}  // namespace rubato::cuda_fake
