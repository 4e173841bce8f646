// LSTM and GRU by four large products and one small one a position, all oneDNN's sgemm, and our own cells between them
// (recurrent_cell.h). oneDNN has both as primitives, which are no faster: an LSTM's forward and backward took them 98
// to 129 ms without the reorders in and out, and takes this 115 to 123 (256 units, 64 positions, 64 samples; processor
// time on a busy machine). They save four times as much (84 MB where this saves 21), order gates and weights in ways of
// their own, and have one bias, so that everything would be copied in and out.
//
// Saved: a row of four numbers a unit for each sample and position (gates; begin_backward leaves their gradients
// there), an LSTM's inner states, and all states where the output is the last one only. begin_backward goes back
// through the positions; what is left for the two other calls are large products.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/recurrent_cell.h"

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

class Recurrent final : public Op {
 public:
  Recurrent(const CpuContext& context, const RecurrentDesc& desc, const PlanHint& hint);

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] bool lstm() const { return desc_.cell == RecurrentDesc::Cell::kLstm; }
  [[nodiscard]] std::int64_t position(std::int64_t step) const { return desc_.reverse ? positions_ - 1 - step : step; }
  [[nodiscard]] float* row(float* rows, std::int64_t sample, std::int64_t step, std::int64_t width) const {
    return rows + (sample * positions_ + position(step)) * width;
  }
  // At step -1 all zeros.
  [[nodiscard]] const float* row_before(float* rows, std::int64_t sample, std::int64_t step) const {
    return step == 0 ? zeros_ : row(rows, sample, step - 1, units_);
  }
  void forward_cell(std::int64_t sample, std::int64_t step);
  void backward_cell(std::int64_t sample, std::int64_t step);
  Status state_gradients();
  Status state_weights(float* gradient);

  const RecurrentDesc desc_;
  const int threads_;
  const bool training_;
  const std::int64_t samples_, positions_, rows_, inputs_, units_, gate_rows_;
  const std::int64_t length_;  // of a row of gates
  std::int64_t previous_floats_ = 0, sums_floats_ = 0;
  OpInfo info_;
  Ports ports_;
  float *gates_ = nullptr, *cells_ = nullptr, *states_ = nullptr;  // of all positions
  // Of one position, the samples one after the other; in scratch.
  float *zeros_ = nullptr, *product_ = nullptr, *state_ = nullptr, *cell_ = nullptr;
  float *previous_ = nullptr, *sums_ = nullptr;  // in scratch, too: of backward_weights
  const float *weight_ih_ = nullptr, *weight_hh_ = nullptr;
  CellBiases biases_;
};

Recurrent::Recurrent(const CpuContext& context, const RecurrentDesc& desc, const PlanHint& hint)
    : desc_(desc),
      threads_(context.threads),
      training_(hint.training),
      samples_(desc.input.samples),
      positions_(desc.input.height * desc.input.width),
      rows_(samples_ * positions_),
      inputs_(desc.input.channels),
      units_(desc.units),
      gate_rows_(desc.gates() * desc.units),
      length_(row_length(desc.units)) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  const auto bytes = [](std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); };
  const std::int64_t gates = rows_ * length_, states = rows_ * units_;
  const std::int64_t step = units_ + samples_ * (length_ + 2 * units_);
  previous_floats_ = states;
  sums_floats_ =
      static_cast<std::int64_t>(column_sums_scratch_bytes({samples_, positions_, 1, length_}) / sizeof(float));
  if (training_) {
    info_.saved_bytes = bytes(gates + (lstm() ? states : 0) + (desc.last_only ? states : 0));
    info_.scratch_bytes = bytes(std::max(step, previous_floats_ + sums_floats_ + length_));
  } else {
    info_.scratch_bytes = bytes(gates + step);
  }
  info_.algorithms = {{"forward", "sgemm"}};
  if (training_) info_.algorithms.push_back({"backward", "sgemm"});
}

void Recurrent::bind(const Ports& ports) {
  ports_ = ports;
  auto* scratch = static_cast<float*>(ports.scratch);
  gates_ = training_ ? static_cast<float*>(ports.saved) : scratch;
  if (training_) {
    float* saved = gates_ + rows_ * length_;
    cells_ = saved;
    if (lstm()) saved += rows_ * units_;
    states_ = desc_.last_only ? saved : ports.output;
    previous_ = scratch;
    sums_ = previous_ + previous_floats_;
  } else {
    scratch += rows_ * length_;
  }
  zeros_ = scratch;
  product_ = zeros_ + units_;
  state_ = product_ + samples_ * length_;
  cell_ = state_ + samples_ * units_;
}

Status Recurrent::load(std::size_t index, std::span<const float> values, Version) {
  const std::int64_t sizes[] = {gate_rows_ * inputs_, gate_rows_ * units_, gate_rows_, gate_rows_};
  RUBATO_CHECK(index < 4 && values.size() == static_cast<std::size_t>(sizes[index]),
               "{} values for parameter {} of a recurrent layer", values.size(), index);
  const float** const where[] = {&weight_ih_, &weight_hh_, &biases_.input, &biases_.state};
  *where[index] = values.data();
  return {};
}

void Recurrent::forward_cell(std::int64_t sample, std::int64_t step) {
  float* const gates = row(gates_, sample, step, length_);
  float* const state = state_ + sample * units_;
  const float* const products = product_ + sample * length_;
  if (lstm()) {
    float* const cell = cell_ + sample * units_;
    float* const kept = training_ ? row(cells_, sample, step, units_) : cell;
    const float* const before = training_ ? row_before(cells_, sample, step) : cell;
    kernels::forward(units_, biases_, LstmForward{gates, products, before, kept, state});
  } else {
    kernels::forward(units_, biases_, GruForward{gates, products, state});
  }
  if (training_ && desc_.last_only) std::copy_n(state, units_, row(states_, sample, step, units_));
  if (!desc_.last_only) std::copy_n(state, units_, row(ports_.output, sample, step, units_));
  if (desc_.last_only && step == positions_ - 1) std::copy_n(state, units_, ports_.output + sample * units_);
}

Status Recurrent::forward(const SampleKeys&) {
  RUBATO_TRY(
      product(rows_, gate_rows_, inputs_, {ports_.input, inputs_}, {weight_ih_, inputs_, true}, 0.0f, gates_, length_));
  std::fill_n(zeros_, units_ + samples_ * (length_ + 2 * units_), 0.0f);
  for (std::int64_t step = 0; step < positions_; ++step) {
    if (step > 0) {
      RUBATO_TRY(
          product(samples_, gate_rows_, units_, {state_, units_}, {weight_hh_, units_, true}, 0.0f, product_, length_));
    }
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t sample = 0; sample < samples_; ++sample) forward_cell(sample, step);
  }
  return {};
}

void Recurrent::backward_cell(std::int64_t sample, std::int64_t step) {
  float* const gates = row(gates_, sample, step, length_);
  float* const state = state_ + sample * units_;
  const float* gradient = row(ports_.output_gradient, sample, step, units_);
  if (desc_.last_only) gradient = step == positions_ - 1 ? ports_.output_gradient + sample * units_ : nullptr;
  if (lstm()) {
    backward(units_, LstmBackward{gates, row_before(cells_, sample, step), row(cells_, sample, step, units_), gradient,
                                  state, cell_ + sample * units_});
  } else {
    backward(units_, GruBackward{gates, row_before(states_, sample, step), gradient, state});
  }
  std::copy_n(gates, kGates * units_, product_ + sample * length_);
}

// From the gradients of a position's gates to that of the state before.
Status Recurrent::state_gradients() {
  const std::int64_t step = length_;
  if (lstm()) {
    return product(samples_, units_, kGates * units_, {product_, step}, {weight_hh_, units_}, 0.0f, state_, units_);
  }
  RUBATO_TRY(product(samples_, units_, 2 * units_, {product_, step}, {weight_hh_, units_}, 1.0f, state_, units_));
  return product(samples_, units_, units_, {product_ + 3 * units_, step}, {weight_hh_ + 2 * units_ * units_, units_},
                 1.0f, state_, units_);
}

Status Recurrent::begin_backward() {
  std::fill_n(zeros_, units_ + samples_ * (length_ + 2 * units_), 0.0f);
  for (std::int64_t step = positions_ - 1; step >= 0; --step) {
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t sample = 0; sample < samples_; ++sample) backward_cell(sample, step);
    if (step > 0) RUBATO_TRY(state_gradients());
  }
  return {};
}

Status Recurrent::state_weights(float* gradient) {
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples_; ++sample) {
    std::fill_n(row(previous_, sample, 0, units_), units_, 0.0f);
    for (std::int64_t step = 1; step < positions_; ++step) {
      std::copy_n(row(states_, sample, step - 1, units_), units_, row(previous_, sample, step, units_));
    }
  }
  const std::int64_t step = length_, same = lstm() ? 4 : 2;
  RUBATO_TRY(product(same * units_, units_, rows_, {gates_, step, true}, {previous_, units_}, 0.0f, gradient, units_));
  if (lstm()) return {};
  return product(units_, units_, rows_, {gates_ + 3 * units_, step, true}, {previous_, units_}, 0.0f,
                 gradient + same * units_ * units_, units_);
}

Status Recurrent::backward_weights(std::span<const std::span<float>> gradients) {
  const auto size = [](std::int64_t elements) { return static_cast<std::size_t>(elements); };
  RUBATO_CHECK(gradients.size() == 4 && gradients[0].size() == size(gate_rows_ * inputs_) &&
                   gradients[1].size() == size(gate_rows_ * units_) && gradients[2].size() == size(gate_rows_) &&
                   gradients[3].size() == size(gate_rows_),
               "gradient buffers of a recurrent layer");
  RUBATO_TRY(product(gate_rows_, inputs_, rows_, {gates_, length_, true}, {ports_.input, inputs_}, 0.0f,
                     gradients[0].data(), inputs_));
  RUBATO_TRY(state_weights(gradients[1].data()));
  float* const totals = sums_ + sums_floats_;
  column_sums(gates_, {samples_, positions_, 1, length_}, Layout::kRows, threads_, sums_, totals);
  std::copy_n(totals, gate_rows_, gradients[2].data());
  std::copy_n(totals, gate_rows_, gradients[3].data());
  if (!lstm()) std::copy_n(totals + 3 * units_, units_, gradients[3].data() + 2 * units_);
  return {};
}

Status Recurrent::backward_data() {
  return product(rows_, inputs_, gate_rows_, {gates_, length_}, {weight_ih_, inputs_}, 0.0f, ports_.input_gradient,
                 inputs_);
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const RecurrentDesc& desc, const PlanHint& hint) {
  return std::make_unique<Recurrent>(context, desc, hint);
}

}  // namespace rubato::kernels
