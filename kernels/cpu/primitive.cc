#include "kernels/cpu/primitive.h"

#include <dnnl_debug.h>
#include <fmt/format.h>

#include "base/check.h"

namespace rubato::kernels {

Primitive::Primitive(const CpuContext& context, const dnnl::primitive& primitive,
                     const std::vector<std::pair<int, dnnl::memory::desc>>& arguments)
    : primitive_(primitive), stream_(context.stream.get()) {
  memories_.reserve(arguments.size());
  for (const auto& [argument, desc] : arguments) {
    memories_.emplace_back(desc, context.engine, nullptr);
    arguments_.push_back({argument, memories_.back().get()});
  }
}

void Primitive::set(int argument, const void* address) {
  for (dnnl_exec_arg_t& entry : arguments_) {
    if (entry.arg != argument) continue;
    const dnnl_status_t status = dnnl_memory_set_data_handle_v2(entry.memory, const_cast<void*>(address), stream_);
    RUBATO_CHECK(status == dnnl_success, "oneDNN refused an address for argument {}: {}", argument,
                 dnnl_status2str(status));
    return;
  }
  RUBATO_CHECK(false, "the primitive has no argument {}", argument);
}

Status Primitive::execute() const {
  const dnnl_status_t status =
      dnnl_primitive_execute(primitive_.get(), stream_, static_cast<int>(arguments_.size()), arguments_.data());
  if (status == dnnl_success) return {};
  return Error{Cause::kDevice, fmt::format("oneDNN could not run a primitive: {}", dnnl_status2str(status))};
}

// The names are sets of bits, in no order: avx2_vnni is the greatest, and has no AVX-512.
bool has_instructions(dnnl::cpu_isa wanted) {
  const auto bits = static_cast<unsigned>(wanted);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & bits) == bits;
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

Primitive make_reorder(const CpuContext& context, const dnnl::memory::desc& from, const dnnl::memory::desc& to,
                       std::size_t& scratch_bytes) {
  const dnnl::reorder::primitive_desc plan(context.engine, from, context.engine, to, user_scratchpad());
  scratch_bytes = plan.scratchpad_desc().get_size();
  return Primitive(context, dnnl::reorder(plan),
                   {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, plan.scratchpad_desc()}});
}

}  // namespace rubato::kernels
