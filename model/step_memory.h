// The memory of a network's step plans, of which one runs at a time and none leaves anything there from one step to the
// next: so all lie in the same buffer, as large as the largest wants it.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <memory>

#include "base/result.h"
#include "kernels/backend.h"

namespace rubato::model {

class StepMemory {
 public:
  explicit StepMemory(kernels::Device& device) : device_(device) {}

  // At least so many bytes. Where it has to grow it is another buffer: plans that have the one before keep that, so
  // whoever owns them had better make them anew.
  [[nodiscard]] Result<std::shared_ptr<const kernels::Buffer>> room_for(std::size_t bytes) {
    if (buffer_ == nullptr || buffer_->bytes() < bytes) {
      RUBATO_ASSIGN(kernels::Buffer larger, device_.allocate(bytes));
      buffer_ = std::make_shared<const kernels::Buffer>(std::move(larger));
    }
    return buffer_;
  }
  [[nodiscard]] std::size_t bytes() const { return buffer_ == nullptr ? 0 : buffer_->bytes(); }

 private:
  kernels::Device& device_;
  std::shared_ptr<const kernels::Buffer> buffer_;
};

}  // namespace rubato::model
