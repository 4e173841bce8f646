// One direction of a recurrent layer: four large products, which are oneDNN's sgemm, and between them the positions,
// one after the other: a small product with the weights of the state (packed_right.h) and our own cells
// (recurrent_cell.h). Samples do not meet there, so each thread goes through all positions with its own, and waits for
// nobody. oneDNN has both cells as primitives, which are no faster: an LSTM's forward and backward took them 98 to 129
// ms without the reorders in and out, and takes this 115 to 123 (256 units, 64 positions, 64 samples; processor time on
// a busy machine). They save four times as much (84 MB where this saves 21), order gates and weights in ways of their
// own, and have one bias, so that everything would be copied in and out.
//
// Saved: a row of four numbers a unit for each sample and position (gates; `to_gates` leaves their gradients there), an
// LSTM's inner states, and all states where the output is the last one only. `to_gates` goes back through the
// positions; what is left for the two calls behind it are large products.
//
// At a step only those samples are computed that are that long: states, and what goes into and out of the small
// products, are rows in the order of SequenceLengths. What lies behind a sample's end is written as zeros wherever
// somebody sums over it.
//
// Thread-safety: belongs to its operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "kernels/cpu/packed_right.h"
#include "kernels/cpu/recurrent_cell.h"
#include "kernels/cpu/sequence_lengths.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

class RecurrentDirection {
 public:
  // `lengths` are the operation's, and must outlive it.
  RecurrentDirection(const RecurrentDesc& desc, bool reverse, bool training, int threads,
                     const SequenceLengths& lengths);

  [[nodiscard]] std::int64_t saved_floats() const { return saved_floats_; }
  [[nodiscard]] std::int64_t scratch_floats() const { return scratch_floats_; }

  // The output and its gradient begin at this direction's channels.
  struct Ports {
    const float* input = nullptr;
    float* output = nullptr;
    const float* output_gradient = nullptr;
    float *saved = nullptr, *scratch = nullptr;
  };
  void bind(const Ports& ports);
  // The first of its parameters is 0, wherever they are among the operation's.
  void load(std::size_t index, std::span<const float> values);

  Status forward();
  // From the output's gradient to those of the gates; then the others, from those.
  Status to_gates();
  Status write_weights(std::span<const std::span<float>> gradients);
  // Adds to what is there, or writes over it.
  Status write_input(float* gradient, bool adds) const;

 private:
  // Rows of floats, one for each position of each sample.
  struct Rows {
    float* first = nullptr;
    std::int64_t step = 0;  // from row to row
  };
  // Of what the positions hand on.
  [[nodiscard]] std::int64_t step_floats() const { return units_ + samples_ * (product_step_ + state_step_ + units_); }
  [[nodiscard]] bool lstm() const { return desc_.cell == RecurrentDesc::Cell::kLstm; }
  // The row of the position that the sample is read at in this step.
  [[nodiscard]] std::int64_t number(std::int64_t sample, std::int64_t step) const {
    return sample * positions_ + (reverse_ ? lengths_.length(sample) - 1 - step : step);
  }
  [[nodiscard]] float* row(const Rows& rows, std::int64_t sample, std::int64_t step) const {
    return rows.first + number(sample, step) * rows.step;
  }
  // At step -1 all zeros.
  [[nodiscard]] const float* row_before(const Rows& rows, std::int64_t sample, std::int64_t step) const {
    return step == 0 ? zeros_ : row(rows, sample, step - 1);
  }
  void forward_cell(std::int64_t place, std::int64_t step);
  void backward_cell(std::int64_t place, std::int64_t step);
  // Of those places, all positions.
  void forward_places(std::int64_t first, std::int64_t last);
  void backward_places(std::int64_t first, std::int64_t last);
  // Calls work(first, last) for places cut among the threads.
  template <typename Work>
  void in_parts(Work&& work) const;
  void clear_step();
  void clear_behind(const Rows& rows, std::int64_t width) const;
  void state_gradients(std::int64_t first, std::int64_t count);
  Status state_weights(float* gradient);

  const RecurrentDesc desc_;
  const bool reverse_, training_;
  const int threads_;
  const SequenceLengths& lengths_;
  const std::int64_t samples_, positions_, rows_, inputs_, units_, gate_rows_;
  std::int64_t product_step_ = 0, state_step_ = 0;  // from sample to sample
  std::int64_t saved_floats_ = 0, scratch_floats_ = 0, sums_floats_ = 0;
  Ports ports_;
  Rows gates_, cells_, states_, outputs_;
  Rows previous_;  // in scratch, of write_weights: the states before
  // Of one step, the samples one after the other; in scratch.
  float *zeros_ = nullptr, *product_ = nullptr, *state_ = nullptr, *cell_ = nullptr;
  const float *weight_ih_ = nullptr, *weight_hh_ = nullptr;
  PackedRight from_state_, to_state_;  // weight_hh, forward and backward; in scratch
  CellBiases biases_;
};

}  // namespace rubato::kernels
