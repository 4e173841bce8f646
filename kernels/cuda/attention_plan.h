// One call of causal attention, of all heads, as a plan of cuDNN's graph API: its fused ("flash") attention, which
// keeps no scores in memory.
//
// cuDNN knows it by its operations: the graphs here are those that its engines look for, operation by operation (as its
// own C++ front end builds them, scaled_dot_product_flash_attention.h; one tensor of backward, the gradients of scores
// as they multiply the keys, is bfloat16 here where that leaves it float32). Queries, keys, values and output are
// bfloat16, scores and softmax float32 and nowhere, shares and the gradients of scores rounded to bfloat16 before they
// multiply. Forward leaves of each row of scores the logarithm of the sum of its exponentials, from which backward
// makes the shares once more. Backward has cuDNN lay the gradients of scores into scratch, positions x positions of
// each head: summing them to the queries' gradients on the way needs no such room, and takes atomic sums, whose bits
// differ.
//
// Tensors lie as everywhere in Rubato: a row of the input is queries, keys and values of all heads, one of the output
// has the heads' means, and so have their gradients.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/engine_plan.h"
#include "kernels/cuda/graph_builder.h"
#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

enum class AttentionCall : std::uint8_t { kForward, kBackward };
[[nodiscard]] const char* name_of(AttentionCall call);

// Forward reads the input and writes output and statistics; backward reads those and the output's gradient, and writes
// the input's and one number for each row of scores.
struct AttentionTensors {
  const std::uint16_t *input = nullptr, *output = nullptr;
  const float* statistics = nullptr;
  const std::uint16_t *output_gradient = nullptr, *input_gradient = nullptr;
  const float* row_sums = nullptr;
};

class AttentionPlan {
 public:
  // Whether cuDNN's engines may be asked at all: heads of 8 features or a multiple, which rows of 16 bytes want, and
  // more than one position.
  [[nodiscard]] static bool fits(const AttentionDesc& desc);
  // Null, where cuDNN has no engine for it within the limit. Errors: kDevice.
  static Result<std::shared_ptr<const AttentionPlan>> choose(const PlanTarget& target, const AttentionDesc& desc,
                                                             AttentionCall call,
                                                             std::size_t scratch_max = EngineLimits().scratch_max);

  [[nodiscard]] std::int64_t engine() const { return plan_.engine(); }
  [[nodiscard]] std::size_t scratch_bytes() const { return plan_.scratch_bytes(); }
  [[nodiscard]] const std::string& text() const { return text_; }

  // Where its tensors lie; of what it reads from the host, which is the plan's own.
  [[nodiscard]] std::vector<AddressPack::Tensor> addresses(const AttentionTensors& at) const;
  [[nodiscard]] cudnnBackendDescriptor_t get() const { return plan_.get(); }

 private:
  AttentionPlan(const AttentionDesc& desc, AttentionCall call);
  void describe_forward();
  void describe_backward();

  const AttentionCall call_;
  const std::int64_t samples_, positions_, heads_, width_, size_;
  const float scale_;
  GraphBuilder builder_;
  EnginePlan plan_;
  const std::string text_;  // for errors
};

// The plans of a device, each made once: layers of one shape share theirs, which takes half a second to compile.
class AttentionPlans {
 public:
  // As AttentionPlan::choose, of a handle that is the same each time.
  Result<std::shared_ptr<const AttentionPlan>> find(cudnnHandle_t handle, const AttentionDesc& desc,
                                                    AttentionCall call);

 private:
  // By samples, positions, channels, heads and call; null, where there is none.
  std::map<std::array<std::int64_t, 5>, std::shared_ptr<const AttentionPlan>> known_;
};

}  // namespace rubato::kernels::cuda
