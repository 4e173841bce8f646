// The mean of each channel over all pixels of a sample, or those of its positions (rows) that are there.
#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/average_kernel.h"
#include "kernels/cuda/ops.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

AveragedShape averaged(const TensorShape& shape) {
  return {static_cast<std::size_t>(shape.samples), static_cast<std::size_t>(shape.height),
          static_cast<std::size_t>(shape.width), static_cast<std::size_t>(shape.channels)};
}

class GlobalAverage final : public ParameterlessOp {
 public:
  GlobalAverage(const CudaContext& context, const GlobalAverageDesc& desc, DeviceArray<std::int32_t> lengths,
                PinnedArray<std::int32_t> host_lengths)
      : context_(context),
        shape_(averaged(desc.input)),
        lengths_(std::move(lengths)),
        host_lengths_(std::move(host_lengths)) {
    info_.input = desc.input;
    info_.output = output_shape(desc);
    info_.private_bytes = lengths_.size() * sizeof(std::int32_t);
    info_.algorithms = {{"forward", "kernel"}, {"backward_data", "kernel"}};
  }

  Status forward(const SampleKeys& keys) override {
    has_lengths_ = !keys.lengths.empty();
    RUBATO_CHECK(!has_lengths_ || keys.lengths.size() == shape_.samples, "{} lengths of {} samples",
                 keys.lengths.size(), shape_.samples);
    if (has_lengths_) {
      prepare(keys);
      RUBATO_TRY(context_.bring_pinned<std::int32_t>(host_lengths_.span(), lengths_.data()));
    }
    return check(enqueue_average(shape_, lengths(), ports_.input, ports_.output, context_.stream.get()),
                 "launch of an average over {} x {} of {} samples on stream {}", shape_.height, shape_.width,
                 shape_.samples, context_.stream.name());
  }
  void prepare(const SampleKeys& keys) override { std::ranges::copy(keys.lengths, host_lengths_.span().begin()); }
  Status begin_backward() override { return {}; }
  Status backward_data() override {
    return check(enqueue_average_gradient(shape_, lengths(), ports_.output_gradient, ports_.input_gradient,
                                          context_.stream.get()),
                 "launch of an average's gradient over {} x {} of {} samples on stream {}", shape_.height, shape_.width,
                 shape_.samples, context_.stream.name());
  }

 private:
  [[nodiscard]] const std::int32_t* lengths() const { return has_lengths_ ? lengths_.data() : nullptr; }

  const CudaContext& context_;
  const AveragedShape shape_;
  const DeviceArray<std::int32_t> lengths_;  // of the step at hand, if it has some
  const PinnedArray<std::int32_t> host_lengths_;
  bool has_lengths_ = false;
};

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const GlobalAverageDesc& desc, const PlanHint&) {
  RUBATO_ASSIGN(auto lengths, DeviceArray<std::int32_t>::allocate(static_cast<std::size_t>(desc.input.samples)));
  RUBATO_ASSIGN(auto host_lengths, PinnedArray<std::int32_t>::allocate(lengths.size()));
  return std::unique_ptr<Op>(
      std::make_unique<GlobalAverage>(context, desc, std::move(lengths), std::move(host_lengths)));
}

}  // namespace rubato::kernels::cuda
