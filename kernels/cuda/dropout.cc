// Dropout. Its mask is the CPU's (kernels/dropout_mask.h), and is kept, a byte an element.
#include <algorithm>

#include "base/check.h"
#include "base/rng.h"
#include "kernels/cuda/dropout_kernel.h"
#include "kernels/cuda/ops.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

class Dropout final : public ParameterlessOp {
 public:
  Dropout(const CudaContext& context, const DropoutDesc& desc, DeviceArray<std::uint64_t> ids,
          PinnedArray<std::uint64_t> host_ids)
      : context_(context),
        desc_(desc),
        ids_(std::move(ids)),
        host_ids_(std::move(host_ids)),
        count_(static_cast<std::size_t>(desc.input.elements())) {
    info_.input = info_.output = desc.input;
    info_.saved_bytes = count_;
    info_.private_bytes = ids_.size() * sizeof(std::uint64_t);
    info_.algorithms = {{"forward", "kernel"}, {"backward_data", "kernel"}};
  }

  Status forward(const SampleKeys& keys) override {
    prepare(keys);
    RUBATO_TRY(context_.bring_pinned<std::uint64_t>(host_ids_.span(), ids_.data()));
    const DropoutDraw draw{desc_.layer, static_cast<float>(desc_.rate), scale()};
    return check(enqueue_dropout(draw, ids_.data(), ports_.input, ports_.output, alive(), samples(), count_ / samples(),
                                 context_.stream.get()),
                 "launch of a dropout of {} elements on stream {}", count_, context_.stream.name());
  }
  void prepare(const SampleKeys& keys) override {
    RUBATO_CHECK(keys.ids.size() == samples(), "dropout of {} samples has {} ids", samples(), keys.ids.size());
    std::ranges::copy(keys.ids, host_ids_.span().begin());
    host_ids_.span().back() = stream_key(desc_.seed, "dropout", keys.epoch);
  }
  Status begin_backward() override { return {}; }
  Status backward_data() override {
    return check(enqueue_dropout_gradient(scale(), alive(), ports_.output_gradient, ports_.input_gradient, count_,
                                          context_.stream.get()),
                 "launch of a dropout's gradient of {} elements on stream {}", count_, context_.stream.name());
  }

 private:
  [[nodiscard]] std::size_t samples() const { return ids_.size() - 1; }
  [[nodiscard]] float scale() const { return static_cast<float>(1.0 / (1.0 - desc_.rate)); }
  [[nodiscard]] std::uint8_t* alive() const { return static_cast<std::uint8_t*>(ports_.saved); }

  const CudaContext& context_;
  const DropoutDesc desc_;
  const DeviceArray<std::uint64_t> ids_;  // of the samples, and behind them the epoch's key
  const PinnedArray<std::uint64_t> host_ids_;
  const std::size_t count_;
};

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const DropoutDesc& desc, const PlanHint& hint) {
  RUBATO_CHECK(hint.training && desc.rate > 0.0 && desc.rate < 1.0, "dropout at rate {}: only in training", desc.rate);
  RUBATO_ASSIGN(auto ids, DeviceArray<std::uint64_t>::allocate(static_cast<std::size_t>(desc.input.samples) + 1));
  RUBATO_ASSIGN(auto host_ids, PinnedArray<std::uint64_t>::allocate(ids.size()));
  return std::unique_ptr<Op>(std::make_unique<Dropout>(context, desc, std::move(ids), std::move(host_ids)));
}

}  // namespace rubato::kernels::cuda
