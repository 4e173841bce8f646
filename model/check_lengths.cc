#include "model/check_lengths.h"

#include <fmt/format.h>

#include <string_view>
#include <variant>
#include <vector>

namespace rubato::model {
namespace {

// What becomes of a sample's positions.
enum class Positions : std::uint8_t { kStay, kEnd };

// How it mixes them, for people; or nothing: it does not, or knows which are there.
std::string_view mixing(const kernels::OpDesc& op) {
  const auto* dense = std::get_if<kernels::DenseDesc>(&op);
  if (dense != nullptr && !dense->per_position) return "a dense layer of all positions";
  if (std::holds_alternative<kernels::ConvolutionDesc>(op)) return "a convolution";
  if (std::holds_alternative<kernels::PoolDesc>(op)) return "a pool";
  if (std::holds_alternative<kernels::BatchNormDesc>(op)) return "a batch normalization";
  if (std::holds_alternative<kernels::GroupNormDesc>(op)) return "a group normalization";
  return {};
}

Positions after(const kernels::OpDesc& op) {
  const auto* recurrent = std::get_if<kernels::RecurrentDesc>(&op);
  const bool last = recurrent != nullptr && recurrent->last_only;
  return last || std::holds_alternative<kernels::GlobalAverageDesc>(op) ? Positions::kEnd : Positions::kStay;
}

}  // namespace

Status check_lengths(std::span<const Layer> layers, kernels::LossDesc::Kind loss) {
  std::vector<Positions> tensors{Positions::kStay};
  for (const Layer& layer : layers) {
    const Positions before = tensors[layer.input];
    if (const std::string_view kind = mixing(layer.op); before == Positions::kStay && !kind.empty())
      return Error{
          Cause::kUsage,
          fmt::format("layer {} is {}, which reads what is behind a sample's end, and the samples have lengths "
                      "(data.train_lengths, or train_lengths in an npz archive): expected lstm, gru, attention, "
                      "layers of each position alone and, before anything else, global_average or the last "
                      "state of an lstm or gru",
                      layer.name, kind)};
    tensors.push_back(before == Positions::kEnd ? before : after(layer.op));
  }
  const kernels::TensorShape output = kernels::output_shape(layers.back().op);
  const bool ended = tensors.back() == Positions::kEnd, labels = loss == kernels::LossDesc::Kind::kCrossEntropy;
  if (ended && labels && output.height * output.width > 1)
    return Error{Cause::kUsage,
                 fmt::format("layer {}, the last, gives numbers at {} x {} positions made of one, which have no end of "
                             "their own, and the samples have lengths: expected labels of the samples' own positions, "
                             "without global_average or the last state of an lstm or gru, or one label a sample",
                             layers.back().name, output.height, output.width)};
  if (ended || labels) return {};
  return Error{Cause::kUsage,
               fmt::format("layer {}, the last, gives numbers at each position, also behind a sample's end, where the "
                           "loss has no use for them: expected global_average or the last state of an lstm or gru "
                           "before it",
                           layers.back().name)};
}

}  // namespace rubato::model
