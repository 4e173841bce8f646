#include "kernels/cpu/recurrent_direction.h"

#include <dnnl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/cpu/column_sums.h"

namespace rubato::kernels {
namespace {

constexpr std::int64_t kGates = 4;  // numbers of a unit in a row of gates

// Rows that are a multiple of 1 KiB apart meet in few sets of a cache: with 4 KiB sgemm takes 1.2 to 1.5 times as long
// for a weight's gradient.
std::int64_t row_length(std::int64_t units) {
  const std::int64_t floats = kGates * units;
  return floats % 256 == 0 ? floats + 16 : floats;
}

struct Matrix {
  const float* data;
  std::int64_t step;  // from row to row
  bool transposed = false;
};

// out = beta * out + left * right, all row-major. It allocates what it packs into: so does oneDNN's own dense layer.
Status product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const Matrix& left, const Matrix& right,
               float beta, float* out, std::int64_t step) {
  const dnnl_status_t status = dnnl_sgemm(left.transposed ? 'T' : 'N', right.transposed ? 'T' : 'N', rows, columns,
                                          depth, 1.0f, left.data, left.step, right.data, right.step, beta, out, step);
  if (status == dnnl_success) return {};
  return Error{Cause::kDevice, fmt::format("oneDNN could not multiply matrices: status {}", static_cast<int>(status))};
}

}  // namespace

RecurrentDirection::RecurrentDirection(const RecurrentDesc& desc, bool reverse, bool training, int threads,
                                       const SequenceLengths& lengths)
    : desc_(desc),
      reverse_(reverse),
      training_(training),
      threads_(threads),
      lengths_(lengths),
      samples_(lengths.samples()),
      positions_(lengths.positions()),
      rows_(samples_ * positions_),
      inputs_(desc.input.channels),
      units_(desc.units),
      gate_rows_(desc.gates() * desc.units) {
  const std::int64_t length = row_length(units_);
  gates_.step = length;
  cells_.step = previous_.step = units_;
  outputs_.step = desc.directions() * units_;
  states_.step = desc.last_only ? units_ : outputs_.step;
  const std::int64_t gates = rows_ * length, states = rows_ * units_;
  const std::int64_t step = units_ + samples_ * (length + 2 * units_);
  sums_floats_ =
      static_cast<std::int64_t>(column_sums_scratch_bytes({samples_, positions_, 1, length}) / sizeof(float));
  if (training_) {
    saved_floats_ = gates + (lstm() ? states : 0) + (desc.last_only ? states : 0);
    scratch_floats_ = std::max(step, states + sums_floats_ + length);
  } else {
    scratch_floats_ = gates + step;
  }
}

void RecurrentDirection::bind(const Ports& ports) {
  ports_ = ports;
  outputs_.first = ports.output;
  float* scratch = ports.scratch;
  previous_.first = scratch;
  if (training_) {
    gates_.first = ports.saved;
    float* saved = gates_.first + rows_ * gates_.step;
    cells_.first = saved;
    if (lstm()) saved += rows_ * units_;
    states_.first = desc_.last_only ? saved : ports.output;
  } else {
    gates_.first = scratch;
    scratch += rows_ * gates_.step;
  }
  zeros_ = scratch;
  product_ = zeros_ + units_;
  state_ = product_ + samples_ * gates_.step;
  cell_ = state_ + samples_ * units_;
}

void RecurrentDirection::load(std::size_t index, std::span<const float> values) {
  const std::int64_t sizes[] = {gate_rows_ * inputs_, gate_rows_ * units_, gate_rows_, gate_rows_};
  RUBATO_CHECK(index < 4 && values.size() == static_cast<std::size_t>(sizes[index]),
               "{} values for parameter {} of a recurrent layer's direction", values.size(), index);
  const float** const where[] = {&weight_ih_, &weight_hh_, &biases_.input, &biases_.state};
  *where[index] = values.data();
}

void RecurrentDirection::forward_cell(std::int64_t place, std::int64_t step) {
  const std::int64_t sample = lengths_.sample(place);
  float* const gates = row(gates_, sample, step);
  float* const state = state_ + place * units_;
  const float* const products = product_ + place * gates_.step;
  if (lstm()) {
    float* const cell = cell_ + place * units_;
    float* const kept = training_ ? row(cells_, sample, step) : cell;
    const float* const before = training_ ? row_before(cells_, sample, step) : cell;
    kernels::forward(units_, biases_, LstmForward{gates, products, before, kept, state});
  } else {
    kernels::forward(units_, biases_, GruForward{gates, products, state});
  }
  if (training_ && desc_.last_only) std::copy_n(state, units_, row(states_, sample, step));
  if (!desc_.last_only) std::copy_n(state, units_, row(outputs_, sample, step));
  if (desc_.last_only && step == lengths_.length(sample) - 1)
    std::copy_n(state, units_, outputs_.first + sample * outputs_.step);
}

void RecurrentDirection::clear_behind(const Rows& rows, std::int64_t width) const {
  for (std::int64_t sample = 0; sample < samples_; ++sample)
    for (std::int64_t position = lengths_.length(sample); position < positions_; ++position)
      std::fill_n(rows.first + (sample * positions_ + position) * rows.step, width, 0.0f);
}

Status RecurrentDirection::forward() {
  RUBATO_TRY(product(rows_, gate_rows_, inputs_, {ports_.input, inputs_}, {weight_ih_, inputs_, true}, 0.0f,
                     gates_.first, gates_.step));
  std::fill_n(zeros_, units_ + samples_ * (gates_.step + 2 * units_), 0.0f);
  for (std::int64_t step = 0; step < lengths_.longest(); ++step) {
    const std::int64_t there = lengths_.there_at(step);
    if (step > 0) {
      RUBATO_TRY(product(there, gate_rows_, units_, {state_, units_}, {weight_hh_, units_, true}, 0.0f, product_,
                         gates_.step));
    }
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t place = 0; place < there; ++place) forward_cell(place, step);
  }
  if (!desc_.last_only) clear_behind(outputs_, units_);
  return {};
}

void RecurrentDirection::backward_cell(std::int64_t place, std::int64_t step) {
  const std::int64_t sample = lengths_.sample(place);
  float* const gates = row(gates_, sample, step);
  float* const state = state_ + place * units_;
  const float* gradient = nullptr;
  if (!desc_.last_only) gradient = ports_.output_gradient + number(sample, step) * outputs_.step;
  if (desc_.last_only && step == lengths_.length(sample) - 1)
    gradient = ports_.output_gradient + sample * outputs_.step;
  if (lstm()) {
    backward(units_, LstmBackward{gates, row_before(cells_, sample, step), row(cells_, sample, step), gradient, state,
                                  cell_ + place * units_});
  } else {
    backward(units_, GruBackward{gates, row_before(states_, sample, step), gradient, state});
  }
  std::copy_n(gates, kGates * units_, product_ + place * gates_.step);
}

// From the gradients of the gates at a step to that of the state before.
Status RecurrentDirection::state_gradients(std::int64_t samples) {
  const std::int64_t step = gates_.step;
  if (lstm())
    return product(samples, units_, kGates * units_, {product_, step}, {weight_hh_, units_}, 0.0f, state_, units_);
  RUBATO_TRY(product(samples, units_, 2 * units_, {product_, step}, {weight_hh_, units_}, 1.0f, state_, units_));
  return product(samples, units_, units_, {product_ + 3 * units_, step}, {weight_hh_ + 2 * units_ * units_, units_},
                 1.0f, state_, units_);
}

Status RecurrentDirection::to_gates() {
  std::fill_n(zeros_, units_ + samples_ * (gates_.step + 2 * units_), 0.0f);
  clear_behind(gates_, gates_.step);
  for (std::int64_t step = lengths_.longest() - 1; step >= 0; --step) {
    const std::int64_t there = lengths_.there_at(step);
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t place = 0; place < there; ++place) backward_cell(place, step);
    if (step > 0) RUBATO_TRY(state_gradients(there));
  }
  return {};
}

Status RecurrentDirection::state_weights(float* gradient) {
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples_; ++sample) {
    std::fill_n(row(previous_, sample, 0), units_, 0.0f);
    for (std::int64_t step = 1; step < lengths_.length(sample); ++step)
      std::copy_n(row(states_, sample, step - 1), units_, row(previous_, sample, step));
  }
  clear_behind(previous_, units_);
  const std::int64_t step = gates_.step, same = lstm() ? 4 : 2;
  const Matrix before{previous_.first, units_};
  RUBATO_TRY(product(same * units_, units_, rows_, {gates_.first, step, true}, before, 0.0f, gradient, units_));
  if (lstm()) return {};
  return product(units_, units_, rows_, {gates_.first + 3 * units_, step, true}, before, 0.0f,
                 gradient + same * units_ * units_, units_);
}

Status RecurrentDirection::write_weights(std::span<const std::span<float>> gradients) {
  const auto size = [](std::int64_t elements) { return static_cast<std::size_t>(elements); };
  RUBATO_CHECK(gradients.size() == 4 && gradients[0].size() == size(gate_rows_ * inputs_) &&
                   gradients[1].size() == size(gate_rows_ * units_) && gradients[2].size() == size(gate_rows_) &&
                   gradients[3].size() == size(gate_rows_),
               "gradient buffers of a recurrent layer's direction");
  RUBATO_TRY(product(gate_rows_, inputs_, rows_, {gates_.first, gates_.step, true}, {ports_.input, inputs_}, 0.0f,
                     gradients[0].data(), inputs_));
  RUBATO_TRY(state_weights(gradients[1].data()));
  float* const sums = previous_.first + rows_ * units_;
  float* const totals = sums + sums_floats_;
  column_sums(gates_.first, {samples_, positions_, 1, gates_.step}, Layout::kRows, threads_, sums, totals);
  std::copy_n(totals, gate_rows_, gradients[2].data());
  std::copy_n(totals, gate_rows_, gradients[3].data());
  if (!lstm()) std::copy_n(totals + 3 * units_, units_, gradients[3].data() + 2 * units_);
  return {};
}

Status RecurrentDirection::write_input(float* gradient, bool adds) const {
  return product(rows_, inputs_, gate_rows_, {gates_.first, gates_.step}, {weight_ih_, inputs_}, adds ? 1.0f : 0.0f,
                 gradient, inputs_);
}

}  // namespace rubato::kernels
