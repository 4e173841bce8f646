#include "model/torch_tensors.h"

#include <variant>

#include "base/check.h"

namespace rubato::model {
namespace {

using kernels::OpDesc;

template <typename... Kinds>
bool is_one_of(const OpDesc& op) {
  return (std::holds_alternative<Kinds>(op) || ...);
}

// Whether each tensor of the network is an image.
std::vector<bool> find_images(const std::vector<Layer>& layers) {
  std::vector<bool> image{!layers.empty() && kernels::input_shape(layers.front().op).width > 1};
  for (const Layer& layer : layers) {
    const bool makes_images = is_one_of<kernels::ConvolutionDesc, kernels::PoolDesc, kernels::GlobalAverageDesc,
                                        kernels::BatchNormDesc, kernels::GroupNormDesc>(layer.op);
    const bool keeps = is_one_of<kernels::DropoutDesc, kernels::AddDesc, kernels::ActivationDesc>(layer.op);
    image.push_back(makes_images || (keeps && image[layer.input]));
  }
  return image;
}

// There the table of positions is a module of its own: "wpe.weight" beside "wte.weight", as in GPT-2 (Radford et al.
// 2019), or else "NAME_positions.weight".
std::string position_table(const std::string& here) {
  const std::string module = here.substr(0, here.rfind('.'));
  if (module.ends_with("wte")) return module.substr(0, module.size() - 3) + "wpe.weight";
  return module + "_positions.weight";
}

// Parameter `number` of the operation.
TorchTensor torch_tensor(const OpDesc& op, std::size_t number, bool reads_image, const ParameterSpec& spec) {
  TorchTensor tensor{.spec = spec, .name = spec.name, .shape = spec.shape};
  if (const auto* embedding = std::get_if<kernels::EmbeddingDesc>(&op); embedding && number == 1)
    tensor.name = position_table(spec.name);
  if (std::holds_alternative<kernels::DenseDesc>(op) && number == 2) tensor.name.clear();  // a visible bias
  if (number > 0) return tensor;  // biases, and the like: a vector is a vector
  if (std::holds_alternative<kernels::ConvolutionDesc>(op)) {
    const auto& shape = spec.shape;  // out, height, width, in
    tensor.shape = {shape[0], shape[3], shape[1], shape[2]};
    tensor.pixels = shape[1] * shape[2];
    tensor.channels = shape[3];
  } else if (const auto* dense = std::get_if<kernels::DenseDesc>(&op); dense && !dense->per_position && reads_image) {
    tensor.pixels = dense->input.height * dense->input.width;
    tensor.channels = dense->input.channels;
  }
  return tensor;
}

// (rows, outer, inner) to (rows, inner, outer).
void transpose(std::span<const float> from, std::size_t outer, std::size_t inner, std::span<float> to) {
  RUBATO_CHECK(from.size() == to.size() && from.size() % (outer * inner) == 0, "{} numbers for {}, rows of {} x {}",
               to.size(), from.size(), outer, inner);
  for (std::size_t row = 0; row < from.size(); row += outer * inner)
    for (std::size_t i = 0; i < inner; ++i)
      for (std::size_t o = 0; o < outer; ++o) to[row + i * outer + o] = from[row + o * inner + i];
}

}  // namespace

std::vector<TorchTensor> torch_tensors(const std::vector<Layer>& layers) {
  const std::vector<bool> image = find_images(layers);
  std::vector<TorchTensor> tensors;
  for (const Layer& layer : layers) {
    std::size_t number = 0;
    for (const ParameterSpec& spec : parameter_specs(layer))
      tensors.push_back(torch_tensor(layer.op, number++, image[layer.input], spec));
  }
  return tensors;
}

std::vector<std::string> torch_counters(const std::vector<Layer>& layers) {
  std::vector<std::string> names;
  for (const Layer& layer : layers)
    if (std::holds_alternative<kernels::BatchNormDesc>(layer.op)) names.push_back(layer.name + ".num_batches_tracked");
  return names;
}

void to_torch(const TorchTensor& tensor, std::span<const float> here, std::span<float> there) {
  transpose(here, static_cast<std::size_t>(tensor.pixels), static_cast<std::size_t>(tensor.channels), there);
}

void from_torch(const TorchTensor& tensor, std::span<const float> there, std::span<float> here) {
  transpose(there, static_cast<std::size_t>(tensor.channels), static_cast<std::size_t>(tensor.pixels), here);
}

}  // namespace rubato::model
