// A parameter of an operation on the device, and its gradient where it is trained. Both are copied to and from the
// host's, beside what is computed where that is pinned; values only where their version is new. What products read of
// them (kernels/cuda/factor.h) is rounded then, too, and kept.
//
// Thread-safety: as a Device's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/ids.h"
#include "kernels/cuda/cuda_context.h"
#include "kernels/cuda/factor.h"

namespace rubato::kernels::cuda {

class DeviceParameter {
 public:
  DeviceParameter() = default;
  static Result<DeviceParameter> allocate(std::size_t count, bool training) {
    DeviceParameter parameter;
    RUBATO_ASSIGN(parameter.values_, DeviceFloats::allocate(count));
    RUBATO_ASSIGN(parameter.gradient_, DeviceFloats::allocate(training ? count : 0));
    return parameter;
  }

  // Whose values are multiplied.
  static Result<DeviceParameter> allocate_factor(const CudaContext& context, std::size_t count, bool training) {
    RUBATO_ASSIGN(DeviceParameter parameter, allocate(count, training));
    parameter.factor_ = Factor(context, count);
    RUBATO_ASSIGN(parameter.rounded_, DeviceArray<std::byte>::allocate(parameter.factor_.bytes()));
    parameter.factor_.bind(parameter.values_.data(), parameter.rounded_.data());
    return parameter;
  }

  [[nodiscard]] const float* values() const { return values_.data(); }
  [[nodiscard]] const void* factor() const { return factor_.data(); }
  [[nodiscard]] float* gradient() const { return gradient_.data(); }
  [[nodiscard]] std::size_t bytes() const {
    return (values_.size() + gradient_.size()) * sizeof(float) + rounded_.size();
  }

  [[nodiscard]] Status load(const CudaContext& context, std::span<const float> values, Version version) {
    RUBATO_CHECK(values.size() == values_.size(), "{} values for a parameter of {}", values.size(), values_.size());
    if (loaded_ == version) return {};
    loaded_.reset();  // should the copy fail
    RUBATO_TRY(context.bring(values, values_.data()));
    RUBATO_TRY(factor_.round());
    loaded_ = version;
    return {};
  }
  [[nodiscard]] Status give_gradient(const CudaContext& context, std::span<float> to) const {
    RUBATO_CHECK(to.size() == gradient_.size(), "room for {} of the gradient of a parameter of {}", to.size(),
                 gradient_.size());
    return context.send<float>(gradient_.data(), to);
  }

 private:
  DeviceFloats values_, gradient_;
  Factor factor_;
  DeviceArray<std::byte> rounded_;
  std::optional<Version> loaded_;
};

}  // namespace rubato::kernels::cuda
