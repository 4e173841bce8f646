#include "kernels/cpu/cpu_device.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/mman.h>

#include <cstring>

#include "base/check.h"
#include "base/out_of_memory.h"
#include "kernels/cpu/add.h"
#include "kernels/cpu/convolution_ways.h"
#include "kernels/cpu/measure_ways.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/tensor_layout.h"
#include "kernels/cpu/tree_add.h"

namespace rubato::kernels {
namespace {

// Who reads and writes blocks of channels: convolutions, for which they are made, and what stands between them. A
// convolution of few channels that are not an image's would have to convert them.
struct OwnLayoutsOf {
  OwnLayouts operator()(const ConvolutionDesc& d) const {
    const bool input = has_blocks(d.input.channels), image = d.input.channels <= 4;
    return {.input = input, .output = has_blocks(d.channels) && (input || image)};
  }
  OwnLayouts operator()(const PoolDesc& d) const {
    return {.input = has_blocks(d.input.channels), .output = has_blocks(d.input.channels)};
  }
  OwnLayouts operator()(const AddDesc& d) const { return alike(d.input.channels); }
  OwnLayouts operator()(const ActivationDesc& d) const { return alike(d.input.channels); }
  OwnLayouts operator()(const BatchNormDesc& d) const { return alike(d.input.channels); }
  OwnLayouts operator()(const GlobalAverageDesc& d) const { return {.input = has_blocks(d.input.channels)}; }
  OwnLayouts operator()(const auto& /*desc*/) const { return {}; }

  static OwnLayouts alike(std::int64_t channels) {
    return {.input = has_blocks(channels), .output = has_blocks(channels), .alike = true};
  }
};

constexpr std::size_t kHugePage = std::size_t{2} << 20;

void unmap(void* data, std::size_t bytes) { ::munmap(data, bytes); }

// What oneDNN makes kernels of: as much as the processor has, unless ONEDNN_MAX_CPU_ISA says less.
const char* instructions() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "other instructions";
  }
}

// Where it has no instructions for it oneDNN computes as if it had, slower than in float32.
bool has_bfloat16() { return has_instructions(dnnl::cpu_isa::avx512_core_bf16); }

class CpuDevice final : public Device {
 public:
  CpuDevice(const DeviceConfig& config, std::shared_ptr<const PlanBook> plan, PlanBook* measured)
      : measured_(measured), only_plans_(config.only_plans) {
    context_.threads = config.threads;
    context_.precision = config.precision;
    context_.plan = std::move(plan);
  }

  [[nodiscard]] std::string description() const override {
    const dnnl_version_t* version = dnnl_version();
    const bool rounds = context_.precision == Precision::kBfloat16;
    return fmt::format("cpu, {} thread{}, oneDNN {}.{}.{}, {}{}", context_.threads, context_.threads == 1 ? "" : "s",
                       version->major, version->minor, version->patch, instructions(), rounds ? ", bfloat16" : "");
  }

  // OpenMP's number of threads belongs to the thread that asks; oneDNN reads it when it plans and when
  // it runs.
  void enter() override { omp_set_num_threads(context_.threads); }

  Result<Buffer> allocate(std::size_t bytes) override;

  Status copy_in(float* device, std::span<const float> host) override {
    std::memcpy(device, host.data(), host.size_bytes());
    return {};
  }
  Status copy_out(std::span<float> host, const float* device) override {
    std::memcpy(host.data(), device, host.size_bytes());
    return {};
  }

  Result<std::unique_ptr<Op>> plan(const OpDesc& desc, const PlanHint& hint) override;
  [[nodiscard]] OwnLayouts own_layouts(const OpDesc& desc) const override { return std::visit(OwnLayoutsOf{}, desc); }
  Result<std::unique_ptr<Loss>> plan_loss(const LossDesc& desc) override { return make_loss(context_, desc); }
  Result<std::unique_ptr<Rbm>> plan_rbm(const RbmDesc& desc) override { return make_rbm(context_, desc); }
  Status add(float* to, const float* from, std::size_t count) override {
    add_blocks(context_.threads, to, from, count);
    return {};
  }
  void tree_add(std::span<float> dst, std::span<const float> src) override { kernels::tree_add(dst, src); }

 private:
  CpuContext context_;
  PlanBook* const measured_;
  const bool only_plans_;
};

// Fresh pages straight from the system, in huge pages where it has them, and touched here: a step
// faults no page in.
Result<Buffer> CpuDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return Buffer{};
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (only_plans_ ? MAP_NORESERVE : 0);
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (data == MAP_FAILED)
    return out_of_memory(bytes, "tensors",
                         "compute fewer samples at a time (train.batch, train.micro_batches in bsp, "
                         "worker.micro_batch; evaluation.batch)");
  if (only_plans_) return Buffer(data, bytes, unmap);
  if (bytes >= kHugePage) ::madvise(data, bytes, MADV_HUGEPAGE);
  std::memset(data, 0, bytes);
  return Buffer(data, bytes, unmap);
}

Result<std::unique_ptr<Op>> CpuDevice::plan(const OpDesc& desc, const PlanHint& hint) {
  RUBATO_CHECK(input_shape(desc).elements() > 0 && output_shape(desc).elements() > 0, "an operation on nothing");
  enter();
  const auto* convolution = std::get_if<ConvolutionDesc>(&desc);
  try {
    if (measured_ != nullptr && convolution != nullptr) {
      if (only_plans_)
        list_ways(context_, *convolution, hint, *measured_);
      else
        RUBATO_TRY(measure_ways(*this, context_, *convolution, hint, *measured_));
    }
    return std::visit([&](const auto& d) { return make_op(context_, d, hint); }, desc);
  } catch (const dnnl::error& error) {
    return Error{Cause::kDevice,
                 fmt::format("oneDNN cannot plan {}: {}",
                             convolution != nullptr ? "a " + operation_name(*convolution, hint, context_.precision)
                                                    : "an operation",
                             error.what())};
  }
}

}  // namespace

Result<std::unique_ptr<Device>> open_cpu_device(const DeviceConfig& config, std::shared_ptr<const PlanBook> plan,
                                                PlanBook* measured) {
  if (config.threads < 1)
    return Error{Cause::kUsage, fmt::format("worker.threads = {}: at least 1 is needed", config.threads)};
  if (config.precision == Precision::kTf32)
    return Error{
        Cause::kDevice,
        "worker.precision = \"tf32\" is what a GPU multiplies, and no processor: say \"float32\" or \"bfloat16\""};
  if (config.precision == Precision::kBfloat16 && !has_bfloat16())
    return Error{Cause::kDevice, fmt::format("worker.precision = \"bfloat16\" asks for a processor that multiplies it "
                                             "(AVX512_BF16, AMX), and oneDNN finds {} here: say \"float32\"",
                                             instructions())};
  try {
    return std::unique_ptr<Device>(std::make_unique<CpuDevice>(config, std::move(plan), measured));
  } catch (const dnnl::error& error) {
    return Error{Cause::kDevice, fmt::format("oneDNN cannot open the CPU: {}", error.what())};
  }
}

}  // namespace rubato::kernels
