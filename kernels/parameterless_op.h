// The half of an Op that has no parameters.
#pragma once

#include <cstddef>
#include <span>

#include "base/check.h"
#include "kernels/backend.h"

namespace rubato::kernels {

class ParameterlessOp : public Op {
 public:
  [[nodiscard]] const OpInfo& info() const final { return info_; }
  Status load(std::size_t index, std::span<const float>, Version) final {
    RUBATO_CHECK(false, "an operation without parameters was given parameter {}", index);
  }
  Status backward_weights(std::span<const std::span<float>>) final {
    RUBATO_CHECK(false, "an operation without parameters has no gradient");
  }

 protected:
  OpInfo info_;
};

}  // namespace rubato::kernels
