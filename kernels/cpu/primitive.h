// A oneDNN primitive with its arguments laid out once, executed through the C interface: the C++ one
// builds a vector of arguments on every call and throws.
//
// Invariant: every argument named at construction has an address before execute().
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <dnnl.hpp>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/plan_book.h"

namespace rubato::kernels {

// What every primitive of a device shares.
struct CpuContext {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  int threads = 1;
  Precision precision = Precision::kFloat32;
  std::shared_ptr<const PlanBook> plan;  // whose ways are taken; nothing: by rule
  std::string only_way;                  // while ways are measured: this one, or planning fails
};

class Primitive {
 public:
  Primitive() = default;
  // May throw dnnl::error: only while planning.
  Primitive(const CpuContext& context, const dnnl::primitive& primitive,
            const std::vector<std::pair<int, dnnl::memory::desc>>& arguments);

  // A null address is kept, too: an argument that will not be used.
  void set(int argument, const void* address);
  Status execute() const;

 private:
  dnnl::primitive primitive_;
  dnnl_stream_t stream_ = nullptr;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

// Whether oneDNN makes kernels of these instructions: the processor has them, and ONEDNN_MAX_CPU_ISA allows them.
[[nodiscard]] bool has_instructions(dnnl::cpu_isa wanted);

// Primitives keep their scratch space outside (the default one is shared, and unsafe across threads).
[[nodiscard]] dnnl::primitive_attr user_scratchpad();

// From one layout to another. `scratch_bytes`: what it wants as its scratchpad. May throw dnnl::error.
[[nodiscard]] Primitive make_reorder(const CpuContext& context, const dnnl::memory::desc& from,
                                     const dnnl::memory::desc& to, std::size_t& scratch_bytes);

}  // namespace rubato::kernels
