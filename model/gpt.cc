#include "model/gpt.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

namespace rubato::model {
namespace {

using kernels::Activation;
constexpr float kDeviation = 0.02f;
constexpr std::int64_t kWider = 4;  // within the second half of a block

class Builder {
 public:
  Builder(NetworkBuilder& net, const ModelConfig& config, std::uint64_t seed)
      : net_(net),
        config_(config),
        seed_(seed),
        into_sum_(kDeviation / std::sqrt(2.0f * static_cast<float>(config.layers))) {}

  void block(const std::string& name) {
    const TensorId before = net_.here();
    net_.layer_norm(name + ".ln_1");
    net_.dense_per_position(name + ".attn.c_attn", 3 * config_.width, Activation::kNone, kDeviation);
    net_.attention(name + ".attn", config_.heads);
    add_to(before, name + ".attn");

    const TensorId between = net_.here();
    net_.layer_norm(name + ".ln_2");
    net_.dense_per_position(name + ".mlp.c_fc", kWider * config_.width, Activation::kGelu, kDeviation);
    add_to(between, name + ".mlp");
  }

 private:
  void add_to(TensorId sum, const std::string& name) {
    net_.dense_per_position(name + ".c_proj", config_.width, Activation::kNone, into_sum_);
    net_.dropout(name + ".dropout", config_.dropout, seed_);
    net_.add(name + ".add", sum, Activation::kNone);
  }

  NetworkBuilder& net_;
  const ModelConfig& config_;
  const std::uint64_t seed_;
  const float into_sum_;
};

}  // namespace

Status add_gpt(NetworkBuilder& net, const ModelConfig& config, std::int64_t classes, std::uint64_t seed) {
  const kernels::TensorShape& input = net.shape();
  if (input.width != 1 || input.channels != 1) {
    return Error{Cause::kUsage, fmt::format("model.name = \"gpt\" reads tokens, one after the other, and a sample of "
                                            "this data is {} x {} x {} (height, width, channels): data.kind = "
                                            "\"text\" has such",
                                            input.height, input.width, input.channels)};
  }
  net.embedding("wte", classes, config.width, kDeviation);
  net.dropout("dropout", config.dropout, seed);
  Builder builder(net, config, seed);
  for (std::int64_t i = 0; i < config.layers; ++i) builder.block(fmt::format("h.{}", i));
  net.layer_norm("ln_f");
  net.dense_per_position("lm_head", classes, Activation::kNone, kDeviation);
  return {};
}

}  // namespace rubato::model
