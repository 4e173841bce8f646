#include "kernels/cpu/converting_primitive.h"

#include <algorithm>

namespace rubato::kernels {
namespace {

constexpr std::size_t kAlignment = 128;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

ConvertingPrimitive::ConvertingPrimitive(const CpuContext& context, const dnnl::primitive& primitive,
                                         const dnnl::memory::desc& scratchpad, const std::vector<Tensor>& tensors,
                                         const std::vector<std::pair<int, dnnl::memory::desc>>& others) {
  std::vector<std::pair<int, dnnl::memory::desc>> arguments = others;
  arguments.emplace_back(DNNL_ARG_SCRATCHPAD, scratchpad);
  std::size_t shared = scratchpad.get_size();  // they run one after the other
  for (const Tensor& tensor : tensors) {
    arguments.emplace_back(tensor.argument, tensor.wanted);
    if (tensor.lies == tensor.wanted) continue;
    std::size_t own = 0;
    Primitive reorder = tensor.written ? make_reorder(context, tensor.wanted, tensor.lies, own)
                                       : make_reorder(context, tensor.lies, tensor.wanted, own);
    conversions_.push_back({tensor.argument, tensor.written, 0, std::move(reorder)});
    shared = std::max(shared, own);
  }
  scratch_bytes_ = shared;
  for (Conversion& conversion : conversions_) {
    conversion.offset = aligned(scratch_bytes_);
    const auto wanted = std::find_if(tensors.begin(), tensors.end(),
                                     [&](const Tensor& tensor) { return tensor.argument == conversion.argument; });
    scratch_bytes_ = conversion.offset + wanted->wanted.get_size();
  }
  primitive_ = Primitive(context, primitive, arguments);
}

void ConvertingPrimitive::set_scratch(void* scratch) {
  primitive_.set(DNNL_ARG_SCRATCHPAD, scratch);
  for (Conversion& conversion : conversions_) {
    void* const converted = static_cast<std::byte*>(scratch) + conversion.offset;
    conversion.reorder.set(DNNL_ARG_SCRATCHPAD, scratch);
    conversion.reorder.set(conversion.written ? DNNL_ARG_FROM : DNNL_ARG_TO, converted);
    primitive_.set(conversion.argument, converted);
  }
}

void ConvertingPrimitive::set(int argument, const void* address) {
  for (Conversion& conversion : conversions_) {
    if (conversion.argument != argument) continue;
    conversion.reorder.set(conversion.written ? DNNL_ARG_TO : DNNL_ARG_FROM, address);
    return;
  }
  primitive_.set(argument, address);
}

Status ConvertingPrimitive::execute() const {
  for (const Conversion& conversion : conversions_)
    if (!conversion.written) RUBATO_TRY(conversion.reorder.execute());
  RUBATO_TRY(primitive_.execute());
  for (const Conversion& conversion : conversions_)
    if (conversion.written) RUBATO_TRY(conversion.reorder.execute());
  return {};
}

}  // namespace rubato::kernels
