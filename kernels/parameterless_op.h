// The half of an Op that has no parameters. It keeps the ports that it is bound to.
#pragma once

#include <cstddef>
#include <span>

#include "base/check.h"
#include "kernels/backend.h"

namespace rubato::kernels {

class ParameterlessOp : public Op {
 public:
  [[nodiscard]] const OpInfo& info() const final { return info_; }
  void bind(const Ports& ports) override { ports_ = ports; }
  Status load(std::size_t index, std::span<const float>, Version) final {
    RUBATO_CHECK(false, "an operation without parameters was given parameter {}", index);
  }
  Status backward_weights(std::span<const std::span<float>>) final {
    RUBATO_CHECK(false, "an operation without parameters has no gradient");
  }

 protected:
  OpInfo info_;
  Ports ports_;
};

}  // namespace rubato::kernels
