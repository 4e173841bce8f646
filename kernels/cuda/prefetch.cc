// Inputs that come ahead of their step: through pinned memory into memory of their own on the device, on the stream
// "pull", and from there, when their step begins, to where it reads them. So what a step reads has one address.
#include <algorithm>

#include "base/check.h"
#include "kernels/cuda/ops.h"

namespace rubato::kernels::cuda {
namespace {

class CudaPrefetch final : public Prefetch {
 public:
  CudaPrefetch(const CudaContext& context, PinnedArray<float> host, DeviceFloats device, Event came, Event taken)
      : context_(context),
        host_(std::move(host)),
        device_(std::move(device)),
        came_(std::move(came)),
        taken_(std::move(taken)) {}

  Status start(std::span<const float> host) override {
    RUBATO_CHECK(host.size() == host_.size(), "{} numbers ahead, of {}", host.size(), host_.size());
    if (started_) RUBATO_TRY(came_.synchronize());  // the pinned memory is free
    std::ranges::copy(host, host_.span().begin());
    if (taken_once_) RUBATO_TRY(taken_.hold(context_.copies->pull()));  // and so is the device's
    RUBATO_TRY(enqueue_copy<float>(device_.span(), std::span<const float>(host_.span()), context_.copies->pull()));
    started_ = true;
    return came_.record(context_.copies->pull());
  }

  Status take(float* device) override {
    RUBATO_CHECK(started_, "nothing has come ahead");
    RUBATO_TRY(came_.hold(context_.stream));
    RUBATO_TRY(enqueue_copy<float>({device, device_.size()}, device_.span(), context_.stream));
    RUBATO_TRY(taken_.record(context_.stream));
    taken_once_ = true;
    return {};
  }

 private:
  const CudaContext& context_;
  const PinnedArray<float> host_;
  const DeviceFloats device_;
  const Event came_, taken_;
  bool started_ = false, taken_once_ = false;
};

}  // namespace

Result<std::unique_ptr<Prefetch>> make_prefetch(const CudaContext& context, std::size_t count) {
  RUBATO_ASSIGN(auto host, PinnedArray<float>::allocate(count));
  RUBATO_ASSIGN(auto device, DeviceFloats::allocate(count));
  RUBATO_ASSIGN(Event came, Event::create());
  RUBATO_ASSIGN(Event taken, Event::create());
  return std::unique_ptr<Prefetch>(
      std::make_unique<CudaPrefetch>(context, std::move(host), std::move(device), std::move(came), std::move(taken)));
}

}  // namespace rubato::kernels::cuda
