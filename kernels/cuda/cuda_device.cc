#include "kernels/cuda/cuda_device.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/recording.h"
#include "kernels/cuda/update_rules.h"
#include "kernels/precision.h"

namespace rubato::kernels::cuda {
namespace {

void free_memory(void* data, std::size_t /*bytes*/) { cudaFree(data); }

class CudaDevice final : public Device {
 public:
  CudaDevice(CudaContext context, std::string description, bool graphs)
      : context_(std::move(context)), description_(std::move(description)), graphs_(graphs) {}

  [[nodiscard]] std::string description() const override { return description_; }

  // Which device a thread's calls are about belongs to the thread. Should it fail, so will the next call, with a
  // Status.
  void enter() override { (void)cudaSetDevice(context_.ordinal); }

  Status begin_step() override { return context_.copies->begin_step(context_.stream); }
  Result<CopyMark> mark_copies() override { return context_.copies->mark_copies(); }
  Result<bool> has_passed(CopyMark mark) override { return context_.copies->has_passed(mark); }
  Status wait_for(CopyMark mark) override { return context_.copies->wait_for(mark); }
  void abandon() override {
    (void)context_.stream.synchronize();
    context_.copies->drain();
  }

  [[nodiscard]] bool records() const override { return graphs_; }
  Status begin_recording() override { return cuda::begin_recording(context_.stream, *context_.copies); }
  Result<std::unique_ptr<Recording>> end_recording() override {
    return cuda::end_recording(context_.stream, *context_.copies);
  }

  Result<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] bool pins_memory() const override { return true; }
  [[nodiscard]] bool is_pinned(std::span<const std::byte> memory) const override {
    return context_.copies->is_pinned(memory);
  }
  Result<Pinned> pin(std::span<std::byte> memory) override { return context_.copies->pin(memory); }
  Status copy_in(float* device, std::span<const float> host) override { return context_.upload(host, device); }
  Status copy_out(std::span<float> host, const float* device) override { return context_.download(device, host); }

  Status bring(float* device, std::span<const float> host) override { return context_.bring(host, device); }

  Result<std::unique_ptr<Prefetch>> plan_prefetch(std::size_t count) override {
    enter();
    return make_prefetch(context_, count);
  }

  Result<std::unique_ptr<Op>> plan(const OpDesc& desc, const PlanHint& hint) override;
  Result<std::unique_ptr<Loss>> plan_loss(const LossDesc& desc) override {
    enter();
    return make_loss(context_, desc);
  }
  Result<std::unique_ptr<Rbm>> plan_rbm(const RbmDesc& desc) override {
    enter();
    return make_rbm(context_, desc);
  }
  Status add(float* to, const float* from, std::size_t count) override {
    return check(enqueue_sum(to, from, count, context_.stream.get()),
                 "launch of a sum of gradients of {} elements on stream {}", count, context_.stream.name());
  }
  // Both lie on the host, where gradients have gone.
  void tree_add(std::span<float> dst, std::span<const float> src) override {
    RUBATO_CHECK(dst.size() == src.size(), "{} += {} elements", dst.size(), src.size());
    for (std::size_t i = 0; i < dst.size(); ++i) dst[i] += src[i];
  }

 private:
  CudaContext context_;
  const std::string description_;
  const bool graphs_;  // steps are recorded
};

Result<Buffer> CudaDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return Buffer{};
  enter();
  void* data = nullptr;
  RUBATO_TRY(check(cudaMalloc(&data, bytes),
                   "cudaMalloc of {} bytes of tensors (if the GPU has no memory for them, compute fewer samples at a "
                   "time: train.batch, train.micro_batches in bsp, worker.micro_batch; evaluation.batch)",
                   bytes));
  Buffer buffer(data, bytes, free_memory);
  RUBATO_TRY(check(cudaMemsetAsync(data, 0, bytes, context_.stream.get()), "cudaMemsetAsync of {} bytes on stream {}",
                   bytes, context_.stream.name()));
  return buffer;
}

Result<std::unique_ptr<Op>> CudaDevice::plan(const OpDesc& desc, const PlanHint& hint) {
  RUBATO_CHECK(input_shape(desc).elements() > 0 && output_shape(desc).elements() > 0, "an operation on nothing");
  RUBATO_CHECK(hint.input == Layout::kRows && hint.output == Layout::kRows, "CUDA has no layout of its own");
  enter();
  return std::visit([&](const auto& d) { return make_op(context_, d, hint); }, desc);
}

}  // namespace

Result<std::unique_ptr<Device>> open_cuda_device(const DeviceConfig& config, int ordinal) {
  RUBATO_ASSIGN(std::string description, take_gpu(ordinal));
  if (config.precision != Precision::kFloat32) description += fmt::format(", {}", text_of(config.precision));
  RUBATO_ASSIGN(Stream stream, Stream::create());
  RUBATO_ASSIGN(LtHandle lt, LtHandle::create());
  RUBATO_ASSIGN(auto copies, CopyStreams::create());
  return std::unique_ptr<Device>(std::make_unique<CudaDevice>(
      CudaContext{ordinal, config.precision, std::move(stream), std::move(lt), std::move(copies)},
      std::move(description), config.graphs));
}

Result<std::unique_ptr<Device>> open_complete_cuda_device(const DeviceConfig& config) {
  RUBATO_ASSIGN(auto device, open_cuda_device(config, 0));
  RUBATO_TRY(cudnn_is_there());
  return device;
}

}  // namespace rubato::kernels::cuda
