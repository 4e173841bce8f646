// Losses over a leaf: a loss, a gradient and a prediction for each row of scores by a kernel
// (kernels/cuda/loss_kernel.cu); sums over rows here, in the order of the samples, in double, as on the CPU.
#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/loss_kernel.h"
#include "kernels/cuda/ops.h"

namespace rubato::kernels::cuda {
namespace {

// What goes to the device and what comes back, for each row: there, and where it is copied from and to.
struct LossMemory {
  DeviceArray<std::int32_t> labels, predictions;
  DeviceArray<float> values, shares;
  DeviceArray<double> class_weights, losses;
  PinnedArray<std::int32_t> host_labels, host_predictions;
  PinnedArray<float> host_values, host_shares;
  PinnedArray<double> host_losses;
};

class CudaLoss final : public Loss {
 public:
  CudaLoss(const CudaContext& context, const LossDesc& desc, LossMemory memory)
      : context_(context),
        desc_(desc),
        positions_(static_cast<std::size_t>(desc.positions)),
        rows_(static_cast<std::size_t>(desc.samples) * positions_),
        outputs_(static_cast<std::size_t>(desc.outputs)),
        memory_(std::move(memory)) {
    RUBATO_CHECK(positions_ == 1 || desc.kind == LossDesc::Kind::kCrossEntropy, "positions are for cross-entropy");
  }

  void bind(const float* scores, float* gradient) override {
    scores_ = scores;
    gradient_ = gradient;
  }
  Status enqueue(const Targets& targets, std::span<std::int32_t> predictions) override;
  void prepare(const Targets& targets, std::span<std::int32_t> predictions) override;
  Result<LossResult> result() override;

 private:
  [[nodiscard]] bool by_label(const Targets& targets) const {
    return desc_.kind == LossDesc::Kind::kCrossEntropy || targets.values.empty();
  }
  [[nodiscard]] Status bring(bool by_label);
  [[nodiscard]] std::size_t labels_of(const Targets& targets, std::size_t sample) const;
  [[nodiscard]] LossResult sum_up(const Targets& targets, std::span<const std::int32_t> predictions) const;

  const CudaContext& context_;
  const LossDesc desc_;
  const std::size_t positions_, rows_, outputs_;
  const LossMemory memory_;
  const float* scores_ = nullptr;
  float* gradient_ = nullptr;
  // Of what was enqueued last.
  Targets targets_;
  std::span<std::int32_t> predictions_;
  CopyMark sent_ = 0;
};

Status CudaLoss::enqueue(const Targets& targets, std::span<std::int32_t> predictions) {
  prepare(targets, predictions);
  const bool labelled = by_label(targets);
  RUBATO_TRY(bring(labelled));
  const LossPlanes planes{.scores = scores_,
                          .labels = labelled ? memory_.labels.data() : nullptr,
                          .values = labelled ? nullptr : memory_.values.data(),
                          .class_weights = memory_.class_weights.data(),
                          .shares = memory_.shares.data(),
                          .gradient = gradient_,
                          .losses = memory_.losses.data(),
                          .predictions = memory_.predictions.data()};
  RUBATO_TRY(check(enqueue_loss({desc_.kind, rows_, outputs_, desc_.smoothing}, planes, context_.stream.get()),
                   "launch of a loss of {} x {} scores on stream {}", rows_, outputs_, context_.stream.name()));
  RUBATO_TRY(context_.send_pinned<double>(memory_.losses.data(), memory_.host_losses.span()));
  RUBATO_TRY(context_.send_pinned<std::int32_t>(memory_.predictions.data(), memory_.host_predictions.span()));
  RUBATO_ASSIGN(sent_, context_.copies->mark_copies());
  return {};
}

void CudaLoss::prepare(const Targets& targets, std::span<std::int32_t> predictions) {
  RUBATO_CHECK(predictions.size() == rows_, "room for {} predictions of {}", predictions.size(), rows_);
  RUBATO_CHECK(targets.labels.size() == rows_ || targets.values.size() == rows_ * outputs_,
               "{} labels, {} values for {} samples", targets.labels.size(), targets.values.size(), desc_.samples);
  targets_ = targets;
  predictions_ = predictions;
  if (!by_label(targets)) {
    std::ranges::copy(targets.values, memory_.host_values.span().begin());
    return;
  }
  for (std::size_t sample = 0; positions_ > 1 && sample < rows_ / positions_; ++sample) {
    const std::size_t labels = labels_of(targets, sample);
    std::ranges::fill(memory_.host_shares.span().subspan(sample * positions_, positions_),
                      labels > 1 ? 1.0f / static_cast<float>(labels) : 1.0f);
  }
  std::ranges::copy(targets.labels, memory_.host_labels.span().begin());
}

Result<LossResult> CudaLoss::result() {
  RUBATO_TRY(context_.copies->wait_for(sent_));
  std::ranges::copy(memory_.host_predictions.span(), predictions_.begin());
  return sum_up(targets_, predictions_);
}

Status CudaLoss::bring(bool by_label) {
  if (!by_label) return context_.bring_pinned<float>(memory_.host_values.span(), memory_.values.data());
  if (positions_ > 1) RUBATO_TRY(context_.bring_pinned<float>(memory_.host_shares.span(), memory_.shares.data()));
  return context_.bring_pinned<std::int32_t>(memory_.host_labels.span(), memory_.labels.data());
}

std::size_t CudaLoss::labels_of(const Targets& targets, std::size_t sample) const {
  const auto labels = targets.labels.subspan(sample * positions_, positions_);
  return positions_ - static_cast<std::size_t>(std::ranges::count(labels, kNoLabel));
}

LossResult CudaLoss::sum_up(const Targets& targets, std::span<const std::int32_t> predictions) const {
  LossResult result;
  for (std::size_t sample = 0; sample < rows_ / positions_; ++sample) {
    double loss = 0.0;
    std::size_t hits = 0;
    for (std::size_t row = sample * positions_; row < (sample + 1) * positions_; ++row) {
      loss += memory_.host_losses.span()[row];
      hits += !targets.labels.empty() && predictions[row] == targets.labels[row] ? 1 : 0;
    }
    const std::size_t labels = targets.labels.empty() ? 0 : labels_of(targets, sample);
    if (hits > 0) result.correct += static_cast<double>(hits) / static_cast<double>(labels);
    result.loss_sum += labels > 1 ? loss / static_cast<double>(labels) : loss;
  }
  return result;
}

}  // namespace

Result<std::unique_ptr<Loss>> make_loss(const CudaContext& context, const LossDesc& desc) {
  const auto rows = static_cast<std::size_t>(desc.samples * desc.positions);
  LossMemory memory;
  RUBATO_ASSIGN(memory.labels, DeviceArray<std::int32_t>::allocate(rows));
  RUBATO_ASSIGN(memory.predictions, DeviceArray<std::int32_t>::allocate(rows));
  RUBATO_ASSIGN(memory.shares, DeviceArray<float>::allocate(rows));
  RUBATO_ASSIGN(memory.losses, DeviceArray<double>::allocate(rows));
  const bool by_values = desc.kind != LossDesc::Kind::kCrossEntropy;
  RUBATO_ASSIGN(memory.values,
                DeviceArray<float>::allocate(by_values ? rows * static_cast<std::size_t>(desc.outputs) : 0));
  RUBATO_ASSIGN(memory.class_weights, DeviceArray<double>::allocate(desc.class_weights.size()));
  RUBATO_ASSIGN(memory.host_labels, PinnedArray<std::int32_t>::allocate(rows));
  RUBATO_ASSIGN(memory.host_predictions, PinnedArray<std::int32_t>::allocate(rows));
  RUBATO_ASSIGN(memory.host_shares, PinnedArray<float>::allocate(rows));
  RUBATO_ASSIGN(memory.host_losses, PinnedArray<double>::allocate(rows));
  RUBATO_ASSIGN(memory.host_values, PinnedArray<float>::allocate(memory.values.size()));
  std::ranges::fill(memory.host_shares.span(), 1.0f);
  RUBATO_TRY(context.upload<float>(memory.host_shares.span(), memory.shares.data()));
  if (!desc.class_weights.empty()) RUBATO_TRY(context.upload<double>(desc.class_weights, memory.class_weights.data()));
  return std::unique_ptr<Loss>(std::make_unique<CudaLoss>(context, desc, std::move(memory)));
}

}  // namespace rubato::kernels::cuda
