// A primitive whose tensors may lie in other layouts than it works on: what it reads is reordered into scratch before
// it runs, and what it writes behind it.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernels/cpu/primitive.h"

namespace rubato::kernels {

class ConvertingPrimitive {
 public:
  struct Tensor {
    int argument;
    dnnl::memory::desc lies, wanted;
    bool written = false;  // else read
  };

  ConvertingPrimitive() = default;
  // `others`: arguments that lie as they are wanted. May throw dnnl::error.
  ConvertingPrimitive(const CpuContext& context, const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
                      const std::vector<Tensor>& tensors,
                      const std::vector<std::pair<int, dnnl::memory::desc>>& others);

  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  void set_scratch(void* scratch);
  void set(int argument, const void* address);
  Status execute() const;

 private:
  struct Conversion {
    int argument;
    bool written;
    std::size_t offset;  // in scratch: of the tensor as it is wanted
    Primitive reorder;
  };

  Primitive primitive_;
  std::vector<Conversion> conversions_;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace rubato::kernels
