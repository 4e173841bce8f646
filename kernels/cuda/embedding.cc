// Embeddings. Whether all inputs are tokens is looked up on the device, and said when somebody asks for it; what is no
// token reads and writes nothing.
#include "base/check.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/embedding_kernel.h"
#include "kernels/cuda/ops.h"
#include "kernels/token_error.h"

namespace rubato::kernels::cuda {
namespace {

class Embedding final : public Op {
 public:
  Embedding(const CudaContext& context, const EmbeddingDesc& desc, const PlanHint& hint);
  Status plan();

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override { ports_ = ports; }
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status findings() override;
  Status begin_backward() override { return {}; }
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const {
    return check(error, "launch of an embedding's {} of {} tokens, {} wide, on stream {}", kernel, shape_.tokens,
                 shape_.width, context_.stream.name());
  }

  const CudaContext& context_;
  const bool training_, has_positions_;
  const EmbeddingShape shape_;
  OpInfo info_;
  DeviceParameter table_, position_table_;
  DeviceArray<WrongToken> wrong_;  // one, and where it is sent
  PinnedArray<WrongToken> found_;
  CopyMark sent_ = 0;
  Ports ports_;
};

Embedding::Embedding(const CudaContext& context, const EmbeddingDesc& desc, const PlanHint& hint)
    : context_(context),
      training_(hint.training),
      has_positions_(desc.positions),
      shape_{static_cast<std::size_t>(desc.input.elements()),
             static_cast<std::size_t>(desc.input.elements_per_sample()), static_cast<std::size_t>(desc.rows),
             static_cast<std::size_t>(desc.width)} {
  RUBATO_CHECK(desc.rows > 0 && desc.input.channels == 1, "an embedding of {} rows over {} channels", desc.rows,
               desc.input.channels);
  RUBATO_CHECK(desc.input.elements() < kNoneWrong, "{} tokens at a time", desc.input.elements());
  info_.input = desc.input;
  info_.output = output_shape(desc);
  info_.algorithms = {{"forward", "kernel"}};
  if (hint.training) info_.algorithms.push_back({"backward_weights", "kernel"});
}

Status Embedding::plan() {
  RUBATO_ASSIGN(table_, DeviceParameter::allocate(shape_.rows * shape_.width, training_));
  RUBATO_ASSIGN(position_table_,
                DeviceParameter::allocate(has_positions_ ? shape_.positions * shape_.width : 0, training_));
  RUBATO_ASSIGN(wrong_, DeviceArray<WrongToken>::allocate(1));
  RUBATO_ASSIGN(found_, PinnedArray<WrongToken>::allocate(1));
  info_.private_bytes = table_.bytes() + position_table_.bytes() + sizeof(WrongToken);
  return {};
}

Status Embedding::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < (has_positions_ ? 2 : 1), "parameter {} of an embedding", index);
  return (index == 0 ? table_ : position_table_).load(context_, values, version);
}

Status Embedding::forward(const SampleKeys&) {
  RUBATO_TRY(check(cudaMemsetAsync(wrong_.data(), kNoneWrong & 0xFF, sizeof(std::int32_t), context_.stream.get()),
                   "cudaMemsetAsync of {} bytes on stream {}", sizeof(std::int32_t), context_.stream.name()));
  RUBATO_TRY(launched(enqueue_embedding(shape_, ports_.input, table_.values(), position_table_.values(), ports_.output,
                                        &wrong_.data()->at, context_.stream.get()),
                      "forward"));
  RUBATO_TRY(launched(enqueue_wrong_token(ports_.input, wrong_.data(), context_.stream.get()), "search"));
  RUBATO_TRY(context_.send_pinned<WrongToken>(wrong_.data(), found_.span()));
  RUBATO_ASSIGN(sent_, context_.copies->mark_copies());
  return {};
}

Status Embedding::findings() {
  RUBATO_TRY(context_.copies->wait_for(sent_));
  const WrongToken wrong = found_.span()[0];
  if (wrong.at == kNoneWrong) return {};
  return not_a_token(wrong.at, static_cast<std::int64_t>(shape_.positions), wrong.value,
                     static_cast<std::int64_t>(shape_.rows));
}

Status Embedding::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == (has_positions_ ? 2 : 1), "{} gradient buffers of an embedding", gradients.size());
  RUBATO_TRY(launched(enqueue_embedding_gradient(shape_, ports_.input, ports_.output_gradient, table_.gradient(),
                                                 position_table_.gradient(), context_.stream.get()),
                      "gradient"));
  RUBATO_TRY(table_.give_gradient(context_, gradients[0]));
  return has_positions_ ? position_table_.give_gradient(context_, gradients[1]) : Status{};
}

// The numbers of tokens have none.
Status Embedding::backward_data() {
  const std::size_t bytes = shape_.tokens * sizeof(float);
  return check(cudaMemsetAsync(ports_.input_gradient, 0, bytes, context_.stream.get()),
               "cudaMemsetAsync of {} bytes on stream {}", bytes, context_.stream.name());
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const EmbeddingDesc& desc, const PlanHint& hint) {
  return planned<Embedding>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
