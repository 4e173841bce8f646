// Sums of two tensors, with ReLU after them where it is asked for. The gradient goes through to both.
#include "kernels/cpu/add.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/ops.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels {
namespace {

constexpr std::size_t kBlock = 16384;  // 64 KiB of each: dealt to threads whole

template <typename Body>
void in_blocks(int threads, std::size_t count, Body&& body) {
  const auto blocks = static_cast<std::int64_t>((count + kBlock - 1) / kBlock);
#pragma omp parallel for num_threads(threads)
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::size_t first = static_cast<std::size_t>(block) * kBlock;
    body(first, std::min(kBlock, count - first));
  }
}

void sum(const float* __restrict a, const float* __restrict b, float* __restrict to, std::size_t count, bool relu) {
  if (relu) {
    for (std::size_t i = 0; i < count; ++i) {
      const float value = a[i] + b[i];
      to[i] = value < 0.0f ? 0.0f : value;  // a NaN stays one
    }
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = a[i] + b[i];
  }
}

// g += more, where there is more; 0 where the output was.
void pass(float* __restrict g, const float* __restrict more, const float* __restrict output, std::size_t count) {
  if (more != nullptr)
    for (std::size_t i = 0; i < count; ++i) g[i] += more[i];
  if (output != nullptr)
    for (std::size_t i = 0; i < count; ++i) g[i] = output[i] > 0.0f ? g[i] : 0.0f;
}

class Add final : public ParameterlessOp {
 public:
  Add(const CpuContext& context, const AddDesc& desc)
      : threads_(context.threads),
        relu_(desc.activation == Activation::kRelu),
        elements_(static_cast<std::size_t>(desc.input.elements())) {
    RUBATO_CHECK(relu_ || desc.activation == Activation::kNone, "a sum with activation {}",
                 static_cast<int>(desc.activation));
    info_.input = info_.output = desc.input;
    info_.adds_gradients = true;
    info_.algorithms = {{"forward", "blocks"}, {"backward_data", "blocks"}};
  }

  Status forward(const SampleKeys&) override {
    in_blocks(threads_, elements_, [this](std::size_t first, std::size_t count) {
      sum(ports_.input + first, ports_.addend + first, ports_.output + first, count, relu_);
    });
    return {};
  }
  Status begin_backward() override {
    const float *more = ports_.second_gradient, *output = relu_ ? ports_.output : nullptr;
    if (more == nullptr && output == nullptr) return {};
    in_blocks(threads_, elements_, [&](std::size_t first, std::size_t count) {
      pass(ports_.output_gradient + first, more == nullptr ? nullptr : more + first,
           output == nullptr ? nullptr : output + first, count);
    });
    return {};
  }
  Status backward_data() override {
    in_blocks(threads_, elements_, [this](std::size_t first, std::size_t count) {
      std::memcpy(ports_.input_gradient + first, ports_.output_gradient + first, count * sizeof(float));
    });
    return {};
  }

 private:
  const int threads_;
  const bool relu_;
  const std::size_t elements_;
};

}  // namespace

void add_blocks(int threads, float* to, const float* from, std::size_t count) {
  in_blocks(threads, count, [&](std::size_t first, std::size_t n) { pass(to + first, from + first, nullptr, n); });
}

std::unique_ptr<Op> make_op(const CpuContext& context, const AddDesc& desc, const PlanHint&) {
  return std::make_unique<Add>(context, desc);
}

}  // namespace rubato::kernels
