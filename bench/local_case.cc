#include "bench/local_case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/rng.h"

namespace rubato::bench {
namespace {

std::vector<LocalCase> cases() {
  const auto network = [](const char* name) {
    ModelConfig config;
    config.name = name;
    return config;
  };
  ModelConfig mlp = network("mlp"), cnn = network("cnn"), imagenet = network("resnet18"), lstm = network("lstm"),
              gru = network("gru"), gpt = network("gpt"), gpt2 = network("gpt");
  mlp.hidden = {1024, 1024};
  cnn.channels = {32, 64};
  imagenet.stem = "imagenet";
  lstm.width = gru.width = 256;
  lstm.layers = gru.layers = 2;
  gpt.width = 128;
  gpt.layers = gpt.heads = 4;
  gpt2.width = 768;
  gpt2.layers = gpt2.heads = 12;
  return {{"logistic", network("logistic"), {28, 28, 1}},
          {"mlp", mlp, {28, 28, 1}},
          {"lenet5", network("lenet5"), {28, 28, 1}},
          {"cnn", cnn, {28, 28, 1}},
          {"resnet18", network("resnet18"), {32, 32, 3}},
          {"resnet18-imagenet", imagenet, {224, 224, 3}, 1000},
          {"lstm", lstm, {64, 1, 64}},
          {"gru", gru, {64, 1, 64}},
          {"gpt", gpt, {128, 1, 1}, 256},
          {"gpt2-small", gpt2, {1024, 1, 1}, 50257}};
}

}  // namespace

Result<LocalCase> find_case(const std::string& name) {
  std::vector<std::string> names;
  for (const LocalCase& known : cases()) {
    if (known.name == name) return known;
    names.emplace_back(known.name);
  }
  return Error{Cause::kUsage, fmt::format("no model {}: {}", name, fmt::join(names, ", "))};
}

RandomBatch::RandomBatch(const LocalCase& chosen, std::int64_t samples) {
  RandomStream random(stream_key(1, "local_train"));
  const auto classes = static_cast<std::uint64_t>(chosen.classes);
  const bool tokens = chosen.config.name == "gpt";
  inputs.resize(static_cast<std::size_t>(samples * chosen.shape.elements()));
  labels.resize(tokens ? inputs.size() : static_cast<std::size_t>(samples));
  for (float& input : inputs)
    input = tokens ? static_cast<float>(random.below(classes)) : static_cast<float>(random.next_unit());
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(classes));
  for (std::int64_t id = 0; id < samples; ++id) ids.push_back(static_cast<std::uint64_t>(id));
}

}  // namespace rubato::bench
