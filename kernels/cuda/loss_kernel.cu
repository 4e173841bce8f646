// A block for each row of scores, in double throughout: scores are few beside activations. (Rows of a vocabulary will
// want float32, as kernels/cpu/wide_cross_entropy.cc has it.)
#include "kernels/cuda/block_reduce.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/loss_kernel.h"
#include "kernels/score_loss.h"

namespace rubato::kernels::cuda {
namespace {

// Without initializers: it lies in shared memory, too.
struct Greatest {
  float score;
  std::int32_t at;  // or -1: none
};

// Of equal ones the first.
__device__ Greatest greater(const Greatest& a, const Greatest& b) {
  if (a.at < 0) return b;
  if (b.at < 0 || a.score > b.score) return a;
  if (b.score > a.score) return b;
  return a.at < b.at ? a : b;
}

__device__ Greatest greatest_of(const float* scores, std::size_t outputs, Greatest* room) {
  Greatest own{0.0f, -1};
  for (std::size_t c = threadIdx.x; c < outputs; c += kThreads)
    own = greater(own, Greatest{scores[c], static_cast<std::int32_t>(c)});
  return block_fold(own, room, [](const Greatest& a, const Greatest& b) { return greater(a, b); });
}

// With class weights w the targets w t do not add up to 1, and the gradient of -sum(w t log p) is sum(w t) p - w t.
// Without them the same, where they do.
__device__ double cross_entropy(const LossRows& rows, const double* weights, const float* scores, std::int32_t label,
                                float greatest, float share, float* gradient, double* room) {
  const double each = rows.smoothing / static_cast<double>(rows.outputs);
  const auto target_of = [&](std::size_t c) {
    const double target = c == static_cast<std::size_t>(label) ? 1.0 - rows.smoothing + each : each;
    return weights == nullptr ? target : weights[c] * target;
  };
  double own_sum = 0.0, own_targets = 0.0;
  for (std::size_t c = threadIdx.x; c < rows.outputs; c += kThreads) {
    own_sum += exp(static_cast<double>(scores[c]) - static_cast<double>(greatest));
    own_targets += target_of(c);
  }
  const double log_sum = log(block_sum(own_sum, room));
  const double targets = weights == nullptr ? 1.0 : block_sum(own_targets, room);
  double own_loss = 0.0;
  for (std::size_t c = threadIdx.x; c < rows.outputs; c += kThreads) {
    const double log_probability = static_cast<double>(scores[c]) - static_cast<double>(greatest) - log_sum;
    const double target = target_of(c);
    if (target > 0.0) own_loss -= target * log_probability;  // 0 times what is not finite is no number
    if (gradient != nullptr) gradient[c] = share * static_cast<float>(targets * exp(log_probability) - target);
  }
  return block_sum(own_loss, room);
}

__device__ double elementwise(const LossRows& rows, const LossPlanes& planes, std::size_t row, float* gradient,
                              double* room) {
  const float* const scores = planes.scores + row * rows.outputs;
  const bool binary = rows.kind == LossDesc::Kind::kBinaryCrossEntropy, by_label = planes.values == nullptr;
  double share = 1.0 / static_cast<double>(rows.outputs), own = 0.0;
  if (binary && by_label && planes.class_weights != nullptr) share *= planes.class_weights[planes.labels[row]];
  for (std::size_t c = threadIdx.x; c < rows.outputs; c += kThreads) {
    double target = 0.0;
    if (!by_label)
      target = static_cast<double>(planes.values[row * rows.outputs + c]);
    else if (rows.outputs == 1)
      target = static_cast<double>(planes.labels[row]);
    else
      target = static_cast<std::size_t>(planes.labels[row]) == c ? 1.0 : 0.0;
    const auto score = static_cast<double>(scores[c]);
    own += binary ? binary_cross_entropy(score, target) : squared_error(score, target);
    const double slope = binary ? binary_cross_entropy_slope(score, target) : squared_error_slope(score, target);
    if (gradient != nullptr) gradient[c] = static_cast<float>(share * slope);
  }
  return share * block_sum(own, room);
}

__global__ void loss_kernel(LossRows rows, LossPlanes planes) {
  __shared__ double sums[kThreads];
  __shared__ Greatest greatest_room[kThreads];
  for (std::size_t row = blockIdx.x; row < rows.rows; row += gridDim.x) {
    const float* const scores = planes.scores + row * rows.outputs;
    float* const gradient = planes.gradient == nullptr ? nullptr : planes.gradient + row * rows.outputs;
    const Greatest greatest = greatest_of(scores, rows.outputs, greatest_room);
    const bool labelled = planes.values != nullptr || planes.labels[row] != kNoLabel;
    double loss = 0.0;
    if (!labelled) {
      for (std::size_t c = threadIdx.x; gradient != nullptr && c < rows.outputs; c += kThreads) gradient[c] = 0.0f;
    } else if (rows.kind == LossDesc::Kind::kCrossEntropy) {
      loss = cross_entropy(rows, planes.class_weights, scores, planes.labels[row], greatest.score, planes.shares[row],
                           gradient, sums);
    } else {
      loss = elementwise(rows, planes, row, gradient, sums);
    }
    if (threadIdx.x != 0) continue;
    planes.losses[row] = loss;
    planes.predictions[row] = rows.outputs > 1 ? greatest.at : (scores[0] > 0.0f ? 1 : 0);
  }
}

}  // namespace

cudaError_t enqueue_loss(const LossRows& rows, const LossPlanes& planes, cudaStream_t stream) {
  return launch(loss_kernel, grid_of_rows(rows.rows), stream, rows, planes);
}

}  // namespace rubato::kernels::cuda
