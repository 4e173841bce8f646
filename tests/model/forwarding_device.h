// A device that does everything as another one does, for tests that want one call done otherwise.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "kernels/backend.h"

namespace rubato::model {

class ForwardingDevice : public kernels::Device {
 public:
  explicit ForwardingDevice(kernels::Device& device) : device_(device) {}
  [[nodiscard]] std::string description() const override { return device_.description(); }
  void enter() override { device_.enter(); }
  Result<kernels::Buffer> allocate(std::size_t bytes) override { return device_.allocate(bytes); }
  Status copy_in(float* to, std::span<const float> host) override { return device_.copy_in(to, host); }
  Status copy_out(std::span<float> host, const float* from) override { return device_.copy_out(host, from); }
  Result<std::unique_ptr<kernels::Op>> plan(const kernels::OpDesc& desc, const kernels::PlanHint& hint) override {
    return device_.plan(desc, hint);
  }
  Result<std::unique_ptr<kernels::Loss>> plan_loss(const kernels::LossDesc& desc) override {
    return device_.plan_loss(desc);
  }
  Status add(float* to, const float* from, std::size_t count) override { return device_.add(to, from, count); }
  void tree_add(std::span<float> dst, std::span<const float> src) override { device_.tree_add(dst, src); }

 private:
  kernels::Device& device_;
};

}  // namespace rubato::model
