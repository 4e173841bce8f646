#include "kernels/cpu/convolution_ways.h"

#include <algorithm>

#include "kernels/cpu/tensor_layout.h"

namespace rubato::kernels {
namespace {

// Of fewer channels than these it gains a quarter at most, and its roundings are several times those of direct sums
// (docs/decisions/convolutions-on-blocks.md).
constexpr std::int64_t kTile = 4, kWinogradChannelsMin = 64, kWinogradTilesMin = 64;

}  // namespace

bool winograd_pays(const ConvolutionDesc& desc) {
  if (desc.kernel != 3 || desc.stride != 1 || desc.padding > 1) return false;
  if (!has_blocks(desc.input.channels) || !has_blocks(desc.channels)) return false;
  const TensorShape out = output_shape(desc);
  const std::int64_t tiles = out.samples * ((out.height + kTile - 1) / kTile) * ((out.width + kTile - 1) / kTile);
  return std::min(desc.input.channels, desc.channels) >= kWinogradChannelsMin && tiles >= kWinogradTilesMin;
}

std::vector<ConvolutionWay> convolution_ways(const ConvolutionDesc& desc, const PlanHint& hint) {
  using dnnl::algorithm;
  using Tag = dnnl::memory::format_tag;
  std::vector<ConvolutionWay> ways;
  if (winograd_pays(desc)) ways.push_back({algorithm::convolution_winograd, Tag::nChw16c, Tag::nChw16c});
  if (hint.input == Layout::kOwn || hint.output == Layout::kOwn) {
    // Of few channels, as images have them, oneDNN reads planes.
    const Tag source = has_blocks(desc.input.channels) ? Tag::nChw16c : Tag::nchw;
    const Tag result = has_blocks(desc.channels) ? Tag::nChw16c : Tag::nhwc;
    ways.push_back({algorithm::convolution_direct, source, result});
  }
  ways.push_back({algorithm::convolution_direct, Tag::nhwc, Tag::nhwc});
  return ways;
}

}  // namespace rubato::kernels
