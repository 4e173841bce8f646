#include "kernels/cuda/engine_plan.h"

#include <algorithm>
#include <utility>

namespace rubato::kernels::cuda {
namespace {

// Left out are engines
// - whose bits differ from run to run;
// - that use tensor cores on float32, which means TF32, where that is not asked for;
// - that round factors or sums in other ways;
// - that multiply transforms (Fourier, Winograd): their roundings are not those that our bounds are derived for;
// - that are compiled when the plan is made, where that is not asked for.
Result<bool> is_welcome(const CudnnDescriptor& engine, const EngineLimits& limits) {
  constexpr cudnnBackendNumericalNote_t kUnwelcome[] = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
                                                        CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                                                        CUDNN_NUMERICAL_NOTE_FFT,
                                                        CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
                                                        CUDNN_NUMERICAL_NOTE_WINOGRAD,
                                                        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
                                                        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
                                                        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13};
  RUBATO_ASSIGN(const auto notes, engine.numbers<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                              CUDNN_NUMERICAL_NOTE_TYPE_COUNT));
  if (std::ranges::find_first_of(notes, kUnwelcome) != notes.end()) return false;
  const bool exact = limits.precision == Precision::kFloat32;
  if (exact && std::ranges::find(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) != notes.end()) return false;
  if (limits.compiled) return true;
  RUBATO_ASSIGN(const auto behavior, engine.numbers<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                                CUDNN_BEHAVIOR_NOTE_TYPE_COUNT));
  return std::ranges::find(behavior, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) == behavior.end();
}

Result<std::vector<CudnnDescriptor>> named_engines(const PlanTarget& target, const CudnnDescriptor& graph,
                                                   cudnnBackendHeurMode_t mode) {
  RUBATO_ASSIGN(auto heuristics, CudnnDescriptor::create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics"));
  RUBATO_TRY(heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
  RUBATO_TRY(heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode));
  if (target.properties != nullptr) RUBATO_TRY(heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties));
  RUBATO_TRY(heuristics.finalize());
  return heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                "an engine's configuration");
}

// An empty one, where cuDNN cannot do it after all.
Result<CudnnDescriptor> make_plan(const PlanTarget& target, const CudnnDescriptor& config) {
  RUBATO_ASSIGN(auto plan, CudnnDescriptor::create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "an execution plan"));
  RUBATO_TRY(plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
  // Said to be deprecated; cuDNN before 9.8 wants it.
  if (target.handle != nullptr) RUBATO_TRY(plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle));
  if (target.properties != nullptr) RUBATO_TRY(plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties));
  RUBATO_ASSIGN(const bool supported, plan.finalize_if_supported());
  return supported ? std::move(plan) : CudnnDescriptor{};
}

}  // namespace

Result<CudnnDescriptor> make_graph(const PlanTarget& target, const std::vector<const CudnnDescriptor*>& operations) {
  RUBATO_ASSIGN(auto graph, CudnnDescriptor::create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "a graph"));
  RUBATO_TRY(graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations));
  if (target.handle != nullptr) RUBATO_TRY(graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle));
  RUBATO_TRY(graph.finalize());
  return graph;
}

Result<std::optional<EnginePlan>> EnginePlan::choose(const PlanTarget& target, const CudnnDescriptor& graph,
                                                     const EngineLimits& limits) {
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    RUBATO_ASSIGN(auto configs, named_engines(target, graph, mode));
    for (CudnnDescriptor& config : configs) {
      RUBATO_ASSIGN(const auto engines,
                    config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine"));
      if (engines.empty()) continue;
      RUBATO_ASSIGN(const bool welcome, is_welcome(engines.front(), limits));
      if (!welcome) continue;
      EnginePlan chosen;
      RUBATO_ASSIGN(chosen.plan_, make_plan(target, config));
      if (chosen.plan_.get() == nullptr) continue;
      RUBATO_ASSIGN(const auto scratch, chosen.plan_.number<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
      chosen.scratch_bytes_ = static_cast<std::size_t>(scratch);
      if (chosen.scratch_bytes_ > limits.scratch_max) continue;
      RUBATO_ASSIGN(chosen.engine_, engines.front().number<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
      chosen.config_ = std::move(config);
      return std::optional<EnginePlan>(std::move(chosen));
    }
  }
  return std::optional<EnginePlan>();
}

Status AddressPack::pack(const std::vector<Tensor>& tensors, void* scratch) {
  if (packed_ == tensors && packed_scratch_ == scratch) return {};
  packed_.clear();  // should it fail
  std::vector<std::int64_t> ids;
  std::vector<void*> addresses;
  for (const Tensor& tensor : tensors) {
    ids.push_back(tensor.id);
    addresses.push_back(const_cast<void*>(tensor.at));
  }
  RUBATO_ASSIGN(pack_, make_descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "addresses",
                                       Attribute{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids},
                                       Attribute{CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, addresses},
                                       Attribute{CUDNN_ATTR_VARIANT_PACK_WORKSPACE, scratch}));
  packed_ = tensors;
  packed_scratch_ = scratch;
  return {};
}

}  // namespace rubato::kernels::cuda
