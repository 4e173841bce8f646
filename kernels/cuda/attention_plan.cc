#include "kernels/cuda/attention_plan.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace rubato::kernels::cuda {
namespace {

constexpr std::int64_t kFeaturesOfARow = 8;  // of 16 bytes
constexpr float kOne = 1.0f, kMinusInfinity = -std::numeric_limits<float>::infinity();

enum Id : std::int64_t {
  kQueries = 1,
  kKeys,
  kValues,
  kOutput,
  kStatistics,
  kOutputGradient,
  kQueryGradient,
  kKeyGradient,
  kValueGradient,
  kRowSums,
  kScale,
  kMask,
  kFactorOfSums
};

using Shape = GraphBuilder::Shape;
using Tensor = GraphBuilder::Tensor;

Shape transposed(Shape shape) {
  std::swap(shape.dims[2], shape.dims[3]);
  std::swap(shape.strides[2], shape.strides[3]);
  return shape;
}

// Dimensions are sample, head, row, column.
struct Shapes {
  Shape in, out;          // of a head, in rows of the input and of the output: positions x features
  Shape scores, flipped;  // positions x positions; and read by columns
  Shape packed;           // positions x features, as nothing that lies in memory
  Shape rows;             // a number for each row of scores
};

Shapes shapes_of(std::int64_t samples, std::int64_t positions, std::int64_t heads, std::int64_t size) {
  const std::int64_t width = heads * size, square = positions * positions;
  const GraphBuilder::Extents features = {samples, heads, positions, size},
                              scores = {samples, heads, positions, positions};
  return {.in = {features, {positions * 3 * width, size, 3 * width, 1}},
          .out = {features, {positions * width, size, width, 1}},
          .scores = {scores, {heads * square, square, positions, 1}},
          .flipped = {scores, {heads * square, square, 1, positions}},
          .packed = {features, {positions * width, positions * size, size, 1}},
          .rows = {{samples, heads, positions, 1}, {heads * positions, positions, 1, 1}}};
}

}  // namespace

const char* name_of(AttentionCall call) { return call == AttentionCall::kForward ? "forward" : "backward_data"; }

bool AttentionPlan::fits(const AttentionDesc& desc) {
  return desc.input.channels % (3 * desc.heads * kFeaturesOfARow) == 0 && desc.input.height * desc.input.width > 1;
}

AttentionPlan::AttentionPlan(const AttentionDesc& desc, AttentionCall call)
    : call_(call),
      samples_(desc.input.samples),
      positions_(desc.input.height * desc.input.width),
      heads_(desc.heads),
      width_(desc.input.channels / 3),
      size_(width_ / desc.heads),
      scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(size_)))),
      text_(fmt::format("attention {} of {} x {} positions, {} heads of {}", name_of(call), samples_, positions_,
                        heads_, size_)) {}

Result<std::shared_ptr<const AttentionPlan>> AttentionPlan::choose(const PlanTarget& target, const AttentionDesc& desc,
                                                                   AttentionCall call, std::size_t scratch_max) {
  std::shared_ptr<AttentionPlan> plan(new AttentionPlan(desc, call));
  call == AttentionCall::kForward ? plan->describe_forward() : plan->describe_backward();
  if (const Status described = plan->builder_.finish(target); !described.ok()) return described.error().in(plan->text_);
  const EngineLimits limits{.precision = Precision::kBfloat16, .scratch_max = scratch_max, .compiled = true};
  auto chosen = EnginePlan::choose(target, plan->builder_.graph(), limits);
  if (!chosen.ok()) return chosen.error().in(plan->text_);
  if (!*chosen) return std::shared_ptr<const AttentionPlan>();
  plan->plan_ = *std::move(*chosen);
  return std::shared_ptr<const AttentionPlan>(std::move(plan));
}

// softmax(scale * Q K^T below the diagonal) V.
void AttentionPlan::describe_forward() {
  const Shapes shapes = shapes_of(samples_, positions_, heads_, size_);
  GraphBuilder& g = builder_;
  const auto scores = [&] { return g.between({CUDNN_DATA_FLOAT, shapes.scores}); };
  const auto rows = [&] { return g.between({CUDNN_DATA_FLOAT, shapes.rows}); };
  const Tensor queries = g.tensor(kQueries, {CUDNN_DATA_BFLOAT16, shapes.in});
  const Tensor keys = g.tensor(kKeys, {CUDNN_DATA_BFLOAT16, transposed(shapes.in)});
  const Tensor values = g.tensor(kValues, {CUDNN_DATA_BFLOAT16, shapes.in});
  const Tensor scaled =
      g.pointwise(CUDNN_POINTWISE_MUL, g.product(queries, keys, scores()), g.scalar(kScale), scores());
  const Tensor masked = g.causal(scaled, g.scalar(kMask), shapes.scores);
  const Tensor greatest = g.reduce(CUDNN_REDUCE_TENSOR_MAX, masked, rows());
  const Tensor powers =
      g.pointwise(CUDNN_POINTWISE_EXP, g.pointwise(CUDNN_POINTWISE_SUB, masked, greatest, scores()), scores());
  const Tensor sums = g.reduce(CUDNN_REDUCE_TENSOR_ADD, powers, rows());
  g.pointwise(CUDNN_POINTWISE_ADD, greatest, g.pointwise(CUDNN_POINTWISE_LOG, sums, rows()),
              g.tensor(kStatistics, {CUDNN_DATA_FLOAT, shapes.rows}));
  const Tensor shares = g.pointwise(CUDNN_POINTWISE_DIV, powers, sums, g.between({CUDNN_DATA_BFLOAT16, shapes.scores}));
  g.product(shares, values, g.tensor(kOutput, {CUDNN_DATA_BFLOAT16, shapes.out}));
}

// With shares P = exp(scores - statistics) and the output's gradient R: dV = P^T R; the scores' gradients are
// S = scale * P (R V^T - the sum over features of R times output); dK = S^T Q; dQ = S K.
void AttentionPlan::describe_backward() {
  const Shapes shapes = shapes_of(samples_, positions_, heads_, size_);
  GraphBuilder& g = builder_;
  const auto scores = [&](cudnnDataType_t type = CUDNN_DATA_FLOAT) { return g.between({type, shapes.scores}); };
  const auto flipped = [&](Tensor x) { return g.view(x, g.between({CUDNN_DATA_BFLOAT16, shapes.flipped})); };
  const auto gradient = [&](Id id) { return g.tensor(id, {CUDNN_DATA_BFLOAT16, shapes.in}); };
  const Tensor queries = g.tensor(kQueries, {CUDNN_DATA_BFLOAT16, shapes.in});
  const Tensor keys = g.tensor(kKeys, {CUDNN_DATA_BFLOAT16, transposed(shapes.in)});
  const Tensor values = g.tensor(kValues, {CUDNN_DATA_BFLOAT16, transposed(shapes.in)});
  const Tensor output = g.tensor(kOutput, {CUDNN_DATA_BFLOAT16, shapes.out});
  const Tensor output_gradient = g.tensor(kOutputGradient, {CUDNN_DATA_BFLOAT16, shapes.out});
  const Tensor statistics = g.tensor(kStatistics, {CUDNN_DATA_FLOAT, shapes.rows});
  const Tensor scale = g.scalar(kScale);

  const Tensor products =
      g.pointwise(CUDNN_POINTWISE_MUL, output_gradient, output, g.between({CUDNN_DATA_FLOAT, shapes.packed}));
  const Tensor sums = g.reduce(CUDNN_REDUCE_TENSOR_ADD, products, g.between({CUDNN_DATA_FLOAT, shapes.rows}));
  const Tensor row_sums = g.pointwise(CUDNN_POINTWISE_MUL, sums, g.scalar(kFactorOfSums),
                                      g.tensor(kRowSums, {CUDNN_DATA_FLOAT, shapes.rows}));

  const Tensor scaled = g.pointwise(CUDNN_POINTWISE_MUL, g.product(queries, keys, scores()), scale, scores());
  const Tensor below = g.pointwise(CUDNN_POINTWISE_SUB, scaled, statistics, scores());
  const Tensor shares = g.pointwise(CUDNN_POINTWISE_EXP, g.causal(below, g.scalar(kMask), shapes.scores), scores());
  g.product(flipped(shares), output_gradient, gradient(kValueGradient));

  const Tensor of_shares = g.product(output_gradient, values, scores());
  const Tensor off_mean = g.pointwise(CUDNN_POINTWISE_SUB, of_shares, row_sums, scores());
  const Tensor weighed = g.pointwise(CUDNN_POINTWISE_MUL, off_mean, shares, scores());
  const Tensor of_scores = g.pointwise(CUDNN_POINTWISE_MUL, weighed, scale, scores(CUDNN_DATA_BFLOAT16));
  g.product(flipped(of_scores), queries, gradient(kKeyGradient));
  const Tensor keys_by_rows = g.view(keys, g.between({CUDNN_DATA_BFLOAT16, shapes.in}));
  g.product(of_scores, keys_by_rows, gradient(kQueryGradient));
}

std::vector<AddressPack::Tensor> AttentionPlan::addresses(const AttentionTensors& at) const {
  std::vector<AddressPack::Tensor> all = {
      {kQueries, at.input}, {kKeys, at.input + width_}, {kValues, at.input + 2 * width_}, {kOutput, at.output},
      {kScale, &scale_},    {kMask, &kMinusInfinity},   {kStatistics, at.statistics}};
  if (call_ == AttentionCall::kForward) return all;
  all.insert(all.end(), {{kOutputGradient, at.output_gradient},
                         {kQueryGradient, at.input_gradient},
                         {kKeyGradient, at.input_gradient + width_},
                         {kValueGradient, at.input_gradient + 2 * width_},
                         {kRowSums, at.row_sums},
                         {kFactorOfSums, &kOne}});
  return all;
}

Result<std::shared_ptr<const AttentionPlan>> AttentionPlans::find(cudnnHandle_t handle, const AttentionDesc& desc,
                                                                  AttentionCall call) {
  const TensorShape& in = desc.input;
  const std::array<std::int64_t, 5> key = {in.samples, in.height * in.width, in.channels, desc.heads,
                                           static_cast<std::int64_t>(call)};
  if (const auto known = known_.find(key); known != known_.end()) return known->second;
  RUBATO_ASSIGN(auto chosen, AttentionPlan::choose({.handle = handle}, desc, call));
  return known_[key] = std::move(chosen);
}

}  // namespace rubato::kernels::cuda
