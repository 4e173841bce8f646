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
std::int64_t row_length(std::int64_t floats) { return floats % 256 == 0 ? floats + 16 : floats; }

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
      gate_rows_(desc.gates() * desc.units),
      product_step_(row_length(PackedRight::padded(kGates * units_))),
      state_step_(PackedRight::padded(units_)),
      from_state_(units_, gate_rows_),
      to_state_(gate_rows_, units_) {
  const std::int64_t length = row_length(kGates * units_);
  gates_.step = length;
  cells_.step = previous_.step = units_;
  outputs_.step = desc.directions() * units_;
  states_.step = desc.last_only ? units_ : outputs_.step;
  const std::int64_t gates = rows_ * length, states = rows_ * units_;
  const std::int64_t step = step_floats() + std::max(from_state_.floats(), to_state_.floats());
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
  state_ = product_ + samples_ * product_step_;
  cell_ = state_ + samples_ * state_step_;
  from_state_.bind(zeros_ + step_floats());
  to_state_.bind(zeros_ + step_floats());
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
  float* const state = state_ + place * state_step_;
  const float* const products = product_ + place * product_step_;
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

void RecurrentDirection::clear_step() { std::fill_n(zeros_, step_floats(), 0.0f); }

template <typename Work>
void RecurrentDirection::in_parts(Work&& work) const {
#pragma omp parallel for num_threads(threads_)
  for (int part = 0; part < threads_; ++part)
    work(lengths_.first_place(part, threads_), lengths_.first_place(part + 1, threads_));
}

void RecurrentDirection::forward_places(std::int64_t first, std::int64_t last) {
  for (std::int64_t step = 0; step < lengths_.longest(); ++step) {
    const std::int64_t end = std::min(last, lengths_.there_at(step));
    if (end <= first) return;
    if (step > 0)
      from_state_.multiply(
          {end - first, state_ + first * state_step_, state_step_, product_ + first * product_step_, product_step_}, 0,
          units_, false);
    for (std::int64_t place = first; place < end; ++place) forward_cell(place, step);
  }
}

Status RecurrentDirection::forward() {
  RUBATO_TRY(product(rows_, gate_rows_, inputs_, {ports_.input, inputs_}, {weight_ih_, inputs_, true}, 0.0f,
                     gates_.first, gates_.step));
  clear_step();
  from_state_.pack(weight_hh_, 1, units_, threads_);
  in_parts([this](std::int64_t first, std::int64_t last) { forward_places(first, last); });
  if (!desc_.last_only) clear_behind(outputs_, units_);
  return {};
}

void RecurrentDirection::backward_cell(std::int64_t place, std::int64_t step) {
  const std::int64_t sample = lengths_.sample(place);
  float* const gates = row(gates_, sample, step);
  float* const state = state_ + place * state_step_;
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
  std::copy_n(gates, kGates * units_, product_ + place * product_step_);
}

// From the gradients of the gates at a step to that of the state before.
void RecurrentDirection::state_gradients(std::int64_t first, std::int64_t count) {
  PackedRight::Factors factors{count, product_ + first * product_step_, product_step_, state_ + first * state_step_,
                               state_step_};
  if (lstm()) {
    to_state_.multiply(factors, 0, kGates * units_, false);
    return;
  }
  to_state_.multiply(factors, 0, 2 * units_, true);
  factors.left += 3 * units_;
  to_state_.multiply(factors, 2 * units_, units_, true);
}

void RecurrentDirection::backward_places(std::int64_t first, std::int64_t last) {
  for (std::int64_t step = lengths_.longest() - 1; step >= 0; --step) {
    const std::int64_t end = std::min(last, lengths_.there_at(step));
    for (std::int64_t place = first; place < end; ++place) backward_cell(place, step);
    if (step > 0 && end > first) state_gradients(first, end - first);
  }
}

Status RecurrentDirection::to_gates() {
  clear_step();
  clear_behind(gates_, gates_.step);
  to_state_.pack(weight_hh_, units_, 1, threads_);
  in_parts([this](std::int64_t first, std::int64_t last) { backward_places(first, last); });
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
