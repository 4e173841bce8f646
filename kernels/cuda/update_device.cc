#include "kernels/cuda/update_device.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "kernels/cuda/apply_rule.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/gpu.h"

namespace rubato::kernels::cuda {
namespace {

// What all updates of a device share: its stream, and room for gradients on their way into a sum.
struct Workspace {
  int ordinal = 0;
  Stream stream;
  DeviceArray<int> finite;
  DeviceFloats rows = {};      // kSumDepth of them
  std::size_t row_floats = 0;  // of each

  [[nodiscard]] Status enter() const { return check(cudaSetDevice(ordinal), "cudaSetDevice of device {}", ordinal); }
  [[nodiscard]] Status make_room(std::size_t elements) {
    const std::size_t floats = device_plane(elements);
    if (floats <= row_floats) return {};
    RUBATO_ASSIGN(rows, DeviceFloats::allocate(kSumDepth * floats));
    row_floats = floats;
    return {};
  }
  [[nodiscard]] std::span<float> row(std::size_t index, std::size_t elements) const {
    RUBATO_CHECK(index < kSumDepth, "more than {} sums wait for each other", kSumDepth);
    return rows.span().subspan(index * row_floats, elements);
  }
};

// The blocks of slices of one length.
struct Blocks {
  SliceShape shape;
  DeviceFloats memory;
  std::size_t spare = 0;

  [[nodiscard]] std::size_t block_floats() const { return (1 + shape.state_planes()) * device_plane(shape.elements); }
  [[nodiscard]] SlotView view(std::size_t block) const {
    std::size_t at = block * block_floats();
    const auto next_plane = [&] {
      return memory.span().subspan(std::exchange(at, at + device_plane(shape.elements)), shape.elements);
    };
    SlotView view{.weights = next_plane(), .state = {}};
    for (std::size_t plane = 0; plane < shape.planes; ++plane) view.state[plane] = next_plane();
    if (shape.mean_square) view.mean_square = next_plane();
    if (shape.average) view.average = next_plane();
    return view;
  }
};

class CudaSlice final : public DeviceSlice {
 public:
  CudaSlice(std::shared_ptr<Workspace> workspace, std::shared_ptr<Blocks> blocks, std::size_t block)
      : workspace_(std::move(workspace)), blocks_(std::move(blocks)), block_(block) {}

  [[nodiscard]] Status load(const ConstSlotView& version) override {
    RUBATO_TRY(workspace_->enter());
    return settled(enqueue_version(blocks_->view(block_), version, blocks_->shape.planes));
  }

  [[nodiscard]] Result<bool> update(const SliceUpdate& update, const SlotView& next) override {
    RUBATO_TRY(workspace_->enter());
    std::array<int, 1> finite = {};
    RUBATO_TRY(settled(enqueue(update, next, finite)));
    if (finite.front() == 0) return false;
    std::swap(block_, blocks_->spare);
    return true;
  }

 private:
  [[nodiscard]] const Stream& stream() const { return workspace_->stream; }
  // What was enqueued, once it is done: its error, or that of the waiting.
  [[nodiscard]] Status settled(const Status& enqueued) const {
    const Status done = stream().synchronize();
    return enqueued.ok() ? done : enqueued;
  }

  [[nodiscard]] Status enqueue(const SliceUpdate& update, const SlotView& next, std::span<int> finite) {
    const RuleConfig& rule = update.rule;
    const SlotView from = blocks_->view(block_), to = blocks_->view(blocks_->spare);
    RUBATO_ASSIGN(const std::span<const float> gradient,
                  update.terms.empty() ? add_parts(update, from, to) : add_terms(update.terms));
    RUBATO_TRY(look_for_nonfinite(gradient, workspace_->finite, stream()));
    RUBATO_TRY(enqueue_copy<int>(finite, workspace_->finite.span(), stream()));
    RUBATO_TRY(apply_rule(rule, update.scalars, from, gradient, to, stream()));
    // Of a rule that has fewer planes than the shard's the others are nobody's.
    SlotView made = to;
    if (!rule.keeps_mean_square()) made.mean_square = {};
    return enqueue_version(next, made, state_planes(rule.kind));
  }

  // As kernels/sum_term.h has it: of each term a row, until it is added to the one before.
  [[nodiscard]] Result<std::span<const float>> add_terms(std::span<const SumTerm> terms) const {
    const std::size_t elements = blocks_->shape.elements;
    std::size_t depth = 0;
    for (const SumTerm& term : terms) {
      RUBATO_TRY(enqueue_copy(workspace_->row(depth++, elements), term.values, stream()));
      for (std::uint32_t fold = 0; fold < term.folds; ++fold, --depth) {
        RUBATO_CHECK(depth > 1, "more additions than terms");
        RUBATO_TRY(sum_into(workspace_->row(depth - 2, elements), workspace_->row(depth - 1, elements), stream()));
      }
    }
    RUBATO_CHECK(depth == 1, "fewer additions than terms");
    return std::span<const float>(workspace_->row(0, elements));
  }

  [[nodiscard]] Result<std::span<const float>> add_parts(const SliceUpdate& update, const ConstSlotView& from,
                                                         const SlotView& to) const {
    const std::size_t elements = blocks_->shape.elements;
    const std::span<float> gradient = workspace_->row(0, elements), read = workspace_->row(1, elements),
                           sum = workspace_->row(2, elements);
    RUBATO_CHECK(!update.parts.empty(), "an update of nothing");
    std::span<const float> mean_square = from.mean_square;
    for (const GradientPart& host : update.parts) {
      GradientPart part{gradient, host.samples, host.factor, from.weights, {}, mean_square, to.mean_square};
      RUBATO_TRY(enqueue_copy(gradient, host.gradient, stream()));
      if (!host.read.empty()) {
        RUBATO_TRY(enqueue_copy(read, host.read, stream()));
        part.read = read;
      }
      RUBATO_TRY(add_part(update.rule.compensation, part, sum, &host == update.parts.data(), stream()));
      mean_square = to.mean_square;
    }
    return std::span<const float>(sum);
  }

  // Of the planes that both have.
  [[nodiscard]] Status enqueue_version(const SlotView& to, const ConstSlotView& from, std::size_t planes) const {
    RUBATO_TRY(enqueue_copy(to.weights, from.weights, stream()));
    for (std::size_t plane = 0; plane < planes; ++plane)
      RUBATO_TRY(enqueue_copy(to.state[plane], from.state[plane], stream()));
    if (!from.mean_square.empty()) RUBATO_TRY(enqueue_copy(to.mean_square, from.mean_square, stream()));
    if (!from.average.empty()) RUBATO_TRY(enqueue_copy(to.average, from.average, stream()));
    return {};
  }

  std::shared_ptr<Workspace> workspace_;
  std::shared_ptr<Blocks> blocks_;
  std::size_t block_;
};

class CudaUpdateDevice final : public UpdateDevice {
 public:
  CudaUpdateDevice(std::shared_ptr<Workspace> workspace, std::string description)
      : workspace_(std::move(workspace)), description_(std::move(description)) {}

  [[nodiscard]] std::string description() const override { return description_; }

  [[nodiscard]] Result<std::vector<std::unique_ptr<DeviceSlice>>> make_slices(const SliceShape& shape,
                                                                              std::size_t count) override {
    RUBATO_CHECK(shape.elements > 0 && shape.planes <= kStatePlanesMax, "{} elements, {} planes", shape.elements,
                 shape.planes);
    RUBATO_TRY(workspace_->enter());
    RUBATO_TRY(workspace_->make_room(shape.elements));
    auto blocks = std::make_shared<Blocks>(Blocks{shape, {}, count});
    RUBATO_ASSIGN(blocks->memory, DeviceFloats::allocate((count + 1) * blocks->block_floats()));
    std::vector<std::unique_ptr<DeviceSlice>> slices;
    for (std::size_t block = 0; block < count; ++block)
      slices.push_back(std::make_unique<CudaSlice>(workspace_, blocks, block));
    return slices;
  }

 private:
  std::shared_ptr<Workspace> workspace_;
  const std::string description_;
};

}  // namespace

Result<std::unique_ptr<UpdateDevice>> open_cuda_update_device(int ordinal) {
  RUBATO_ASSIGN(std::string description, take_gpu(ordinal));
  RUBATO_ASSIGN(Stream stream, Stream::create("updates"));
  RUBATO_ASSIGN(DeviceArray<int> finite, DeviceArray<int>::allocate(1));
  auto workspace = std::make_shared<Workspace>(Workspace{ordinal, std::move(stream), std::move(finite)});
  return std::unique_ptr<UpdateDevice>(
      std::make_unique<CudaUpdateDevice>(std::move(workspace), std::move(description)));
}

}  // namespace rubato::kernels::cuda
