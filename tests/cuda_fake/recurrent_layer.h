// The fake's recurrent layer: LSTM and GRU by PyTorch's documented formulas, one layer, in double; what cuDNN's calls
// (cudnn_recurrent.cc) do once they happen.
//
// Where parts lie in the space of weights is the fake's secret, and as unlike PyTorch's order as may be: directions one
// after the other, of each the parts in descending order, of each the bias before the matrix, with a gap behind it.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rubato::cuda_fake {

struct RecurrentLayer {
  bool lstm = true;
  std::int64_t directions = 1, inputs = 0, units = 0;
  std::int64_t samples = 0, positions = 0;
  std::vector<std::int32_t> lengths = {};  // of the samples

  [[nodiscard]] std::int64_t gates() const { return lstm ? 4 : 3; }
  // Of a part: the gates of the input's weights first, then those of the state's.
  struct Part {
    std::size_t bias = 0, matrix = 0;  // where they begin, in floats
  };
  [[nodiscard]] Part part(std::int64_t direction, std::int64_t id) const;
  [[nodiscard]] std::size_t weight_floats() const;
  // A row for each position: the gates and what else backward wants, or in its place their gradients.
  [[nodiscard]] std::size_t reserve_doubles() const {
    return static_cast<std::size_t>(directions * samples * positions * kRow * units);
  }

  // What is behind a sample's end becomes `fill`.
  void forward(const float* x, float* y, const float* weights, double* reserve, float fill) const;
  // Of dx it becomes no number.
  void backward_data(const float* y, const float* dy, float* dx, const float* weights, double* reserve) const;
  // Adds.
  void backward_weights(const float* x, const float* y, const double* reserve, float* gradient) const;

  static constexpr std::int64_t kRow = 5;  // i f g o c, or r z n q and nothing

 private:
  struct Walk;  // one direction through one sample
  [[nodiscard]] std::int64_t part_floats(std::int64_t id) const {
    return units * (id < gates() ? inputs : units) + units + kGap;
  }
  static constexpr std::int64_t kGap = 3;
};

}  // namespace rubato::cuda_fake
