#include "kernels/cpu/convolution_ways.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/cpu/tensor_layout.h"

namespace rubato::kernels {
namespace {

// Of fewer channels than these it gains a quarter at most, and its roundings are several times those of direct sums
// (docs/decisions/convolutions-on-blocks.md).
constexpr std::int64_t kTile = 4, kWinogradChannelsMin = 64, kWinogradTilesMin = 64;

// Blocks as wide as the processor's registers.
dnnl::memory::format_tag blocked(std::int64_t channels) {
  using Tag = dnnl::memory::format_tag;
  if (has_blocks(channels)) return Tag::nChw16c;
  const bool halves = !has_instructions(dnnl::cpu_isa::avx512_core);
  return halves && channels % (kBlock / 2) == 0 ? Tag::nChw8c : Tag::nhwc;
}

// Of few channels, as images have them, oneDNN reads planes.
ConvolutionWay on_blocks(const ConvolutionDesc& desc) {
  using Tag = dnnl::memory::format_tag;
  const Tag source = blocked(desc.input.channels), result = blocked(desc.channels);
  return {"blocks", dnnl::algorithm::convolution_direct, source == Tag::nhwc ? Tag::nchw : source, result};
}

constexpr ConvolutionWay kWinograd{"winograd", dnnl::algorithm::convolution_winograd, dnnl::memory::format_tag::nChw16c,
                                   dnnl::memory::format_tag::nChw16c};

// As far as roundings go.
bool winograd_is_allowed(const ConvolutionDesc& desc) {
  if (desc.kernel != 3 || desc.stride != 1 || desc.padding > 1) return false;
  if (!has_blocks(desc.input.channels) || !has_blocks(desc.channels)) return false;
  return std::min(desc.input.channels, desc.channels) >= kWinogradChannelsMin;
}

bool in_blocks(const PlanHint& hint) { return hint.input == Layout::kOwn || hint.output == Layout::kOwn; }

ConvolutionWay on_bfloat16(ConvolutionWay way, const char* name) {
  way.name = name;
  way.factors = dnnl::memory::data_type::bf16;
  return way;
}

const char* name_of(Layout layout) { return layout == Layout::kOwn ? "blocks" : "rows"; }

}  // namespace

bool winograd_pays(const ConvolutionDesc& desc) {
  const TensorShape out = output_shape(desc);
  const std::int64_t tiles = out.samples * ((out.height + kTile - 1) / kTile) * ((out.width + kTile - 1) / kTile);
  return winograd_is_allowed(desc) && tiles >= kWinogradTilesMin;
}

std::vector<ConvolutionWay> convolution_ways(const ConvolutionDesc& desc, const PlanHint& hint, Precision precision) {
  std::vector<ConvolutionWay> ways;
  if (precision == Precision::kBfloat16) {
    ways.push_back(on_bfloat16({}, "bfloat16 rows"));
    if (in_blocks(hint)) {
      ways.push_back(on_bfloat16(on_blocks(desc), "bfloat16 blocks"));
      if (!has_instructions(dnnl::cpu_isa::avx512_core_amx)) std::swap(ways[0], ways[1]);
    }
  }
  if (winograd_pays(desc)) ways.push_back(kWinograd);
  if (in_blocks(hint)) ways.push_back(on_blocks(desc));
  ways.emplace_back();
  return ways;
}

std::vector<ConvolutionWay> all_convolution_ways(const ConvolutionDesc& desc, const PlanHint& hint,
                                                 Precision precision) {
  std::vector<ConvolutionWay> ways = convolution_ways(desc, hint, precision);
  if (winograd_is_allowed(desc) && !winograd_pays(desc)) ways.push_back(kWinograd);
  const ConvolutionWay blocks = on_blocks(desc);
  if (!in_blocks(hint) && blocks.result != dnnl::memory::format_tag::nhwc) {
    ways.push_back(blocks);
    if (precision == Precision::kBfloat16) ways.push_back(on_bfloat16(blocks, "bfloat16 blocks"));
  }
  return ways;
}

std::string operation_name(const ConvolutionDesc& desc, const PlanHint& hint, Precision precision) {
  return fmt::format("{0}x{0} convolution, stride {1}, padding {2}, of {3} to {4} channels of {5} x {6}, {7} to {8}{9}",
                     desc.kernel, desc.stride, desc.padding, desc.input.channels, desc.channels, desc.input.height,
                     desc.input.width, name_of(hint.input), name_of(hint.output),
                     precision == Precision::kBfloat16 ? ", bfloat16" : "");
}

}  // namespace rubato::kernels
