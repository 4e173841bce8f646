// cuDNN's graph API: descriptors, graphs of one convolution or of what cudnn_graph.h has, engines that are offered
// (cuda_fake::offer_engines), plans.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "tests/cuda_fake/cudnn.h"
#include "tests/cuda_fake/cudnn_descriptor.h"
#include "tests/cuda_fake/cudnn_graph.h"
#include "tests/cuda_fake/machine.h"

namespace rubato::cuda_fake {
namespace {

using Attributes = std::vector<cudnnBackendAttributeName_t>;

std::set<const Descriptor*>& live_descriptors() {
  static std::set<const Descriptor*> all;
  return all;
}

std::size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
      return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;
  }
}

// What has to be set before it is finalized.
Attributes required(cudnnBackendDescriptorType_t kind) {
  if (is_convolution(kind)) return convolution_attributes(kind);
  switch (kind) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
      return {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_ATTR_TENSOR_STRIDES,
              CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT};
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
      return {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS,  CUDNN_ATTR_CONVOLUTION_COMP_TYPE,
              CUDNN_ATTR_CONVOLUTION_CONV_MODE,     CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS,
              CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_ATTR_CONVOLUTION_DILATIONS,
              CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES};
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_ATTR_OPERATIONGRAPH_HANDLE};
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      return {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_ATTR_ENGINEHEUR_MODE};
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      return {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_ATTR_EXECUTION_PLAN_HANDLE};
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
      return {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
              CUDNN_ATTR_VARIANT_PACK_WORKSPACE};
    default:
      return graph_attributes(kind);
  }
}

std::vector<const Descriptor*> operations_of(const Descriptor& graph) {
  std::vector<const Descriptor*> all;
  for (const auto handle : graph.all<cudnnBackendDescriptor_t>(CUDNN_ATTR_OPERATIONGRAPH_OPS))
    all.push_back(static_cast<const Descriptor*>(handle));
  return all;
}

// What a configuration is for.
std::vector<const Descriptor*> operations_for(const Descriptor& config) {
  return operations_of(config.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH));
}

// One convolution, or what has none.
bool is_right_graph(const std::vector<const Descriptor*>& operations) {
  if (operations.size() == 1 && is_convolution(operations.front()->kind)) return true;
  const auto is_known = [](const Descriptor* operation) { return is_graph_operation(operation->kind); };
  return std::ranges::all_of(operations, is_known) && is_ordered(operations);
}

cudnnStatus_t judge_tensor(const Descriptor& tensor) {
  const auto type = tensor.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
  if (type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_BFLOAT16) return CUDNN_STATUS_SUCCESS;
  constexpr auto kNowhere = CUDNN_ATTR_TENSOR_IS_VIRTUAL;
  const bool index = type == CUDNN_DATA_INT32 || type == CUDNN_DATA_BOOLEAN;
  if (index && tensor.has(kNowhere) && tensor.one<bool>(kNowhere)) return CUDNN_STATUS_SUCCESS;
  return CUDNN_STATUS_NOT_SUPPORTED;
}

bool types_fit(const std::vector<const Descriptor*>& operations) {
  if (is_convolution(operations.front()->kind)) return has_types(ConvolutionNode(*operations.front()));
  return has_types(operations);
}

// Of what is not wrong with it itself, a plan's engine may not be there.
cudnnStatus_t judge(Descriptor& descriptor) {
  for (const auto which : required(descriptor.kind))
    if (!descriptor.has(which)) return CUDNN_STATUS_BAD_PARAM;
  if (is_convolution(descriptor.kind)) {
    const auto attributes = convolution_attributes(descriptor.kind);
    if (descriptor.one<float>(attributes[4]) != 1.0f || descriptor.one<float>(attributes[5]) != 0.0f)
      return CUDNN_STATUS_NOT_SUPPORTED;
    return is_right(ConvolutionNode(descriptor)) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
  }
  if (is_graph_operation(descriptor.kind) && !is_right_operation(descriptor))
    return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
  if (descriptor.kind == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && !is_right_graph(operations_of(descriptor)))
    return CUDNN_STATUS_BAD_PARAM;
  if (descriptor.kind == CUDNN_BACKEND_TENSOR_DESCRIPTOR) return judge_tensor(descriptor);
  if (descriptor.kind == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    const Descriptor& config = descriptor.at(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    descriptor.engine = config.engine;
    if (!config.engine.supported) return CUDNN_STATUS_NOT_SUPPORTED_SHAPE;
    if (!types_fit(operations_for(config))) return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
  }
  return CUDNN_STATUS_SUCCESS;
}

// What it refers to has to be live and finalized.
bool refers_well(cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) return true;
  const auto* const first = static_cast<Descriptor* const*>(values);
  return std::all_of(first, first + count, [](const Descriptor* descriptor) {
    return live_descriptors().contains(descriptor) && descriptor->finalized;
  });
}

bool refers_to(const Descriptor& from, const Descriptor* to) {
  return std::ranges::any_of(from.attributes, [&](const auto& attribute) {
    if (attribute.second.type != CUDNN_TYPE_BACKEND_DESCRIPTOR) return false;
    const auto handles = from.all<cudnnBackendDescriptor_t>(attribute.first);
    return std::ranges::find(handles, static_cast<const void*>(to)) != handles.end();
  });
}

// The engines that a heuristics' mode names, with their numbers among all.
std::vector<std::size_t> named_by(const Descriptor& heuristics) {
  const bool fallback = heuristics.one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_FALLBACK;
  std::vector<std::size_t> named;
  for (std::size_t i = 0; i < machine().engines.size(); ++i)
    if (machine().engines[i].fallback == fallback) named.push_back(i);
  return named;
}

cudnnStatus_t fill(const Descriptor& from, const std::vector<std::size_t>& engines, std::int64_t most,
                   std::int64_t* count, void* values) {
  *count = static_cast<std::int64_t>(engines.size());
  if (values == nullptr) return CUDNN_STATUS_SUCCESS;
  *count = std::min(*count, most);
  for (std::int64_t i = 0; i < *count; ++i) {
    auto* const to = static_cast<Descriptor* const*>(values)[i];
    to->engine_index = engines[static_cast<std::size_t>(i)];
    to->engine = machine().engines[to->engine_index];
    to->finalized = true;
    // Of what graph it is.
    const auto graph = CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH;
    if (from.has(graph)) to->attributes[graph] = from.attributes.at(graph);
  }
  return CUDNN_STATUS_SUCCESS;
}

template <typename T>
cudnnStatus_t give(const std::vector<T>& from, std::int64_t most, std::int64_t* count, void* values) {
  *count = std::min(static_cast<std::int64_t>(from.size()), most);
  std::copy_n(from.begin(), *count, static_cast<T*>(values));
  return CUDNN_STATUS_SUCCESS;
}

std::vector<cudnnBackendNumericalNote_t> notes_of(const Engine& engine) {
  std::vector<cudnnBackendNumericalNote_t> notes;
  if (engine.atomic) notes.push_back(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
  if (engine.tensor_cores) notes.push_back(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
  return notes;
}

std::vector<cudnnBackendBehaviorNote_t> behavior_of(const Engine& engine) {
  if (!engine.compiled) return {};
  return {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION};
}

// The address of each tensor of the operation, or null where it is not among them.
std::array<void*, 3> addresses(const ConvolutionNode& node, const Descriptor& pack) {
  const auto ids = pack.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  const StridedTensor* const tensors[] = {&node.x, &node.w, &node.y};
  std::array<void*, 3> at{};
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto found = std::ranges::find(ids, tensors[i]->id);
    const auto index = static_cast<std::size_t>(found - ids.begin());
    if (found == ids.end() || index >= pointers.size()) continue;
    const bool aligned = reinterpret_cast<std::uintptr_t>(pointers[index]) % tensors[i]->alignment == 0;
    if (aligned && machine().covers(pointers[index], tensors[i]->bytes(), "cudnnBackendExecute"))
      at[i] = pointers[index];
  }
  return at;
}

std::function<void()> work_of_convolution(const ConvolutionNode& node, const Engine& engine, const Descriptor& pack) {
  const auto [x, w, y] = addresses(node, pack);
  if (x == nullptr || w == nullptr || y == nullptr) return {};
  return [node, engine, x = x, w = w, y = y] {
    const std::pair<const StridedTensor*, void*> tensors[] = {{&node.x, x}, {&node.w, w}, {&node.y, y}};
    for (const auto& [tensor, data] : tensors)
      tensor == &result_of(node) ? machine().writes(data, tensor->bytes()) : machine().reads(data, tensor->bytes());
    compute(node, engine, x, w, y);
  };
}

// What a plan does with these addresses; nothing, where one of them is wrong.
std::function<void()> work_of(const Descriptor& plan, const Descriptor& pack) {
  const auto operations = operations_for(plan.at(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
  if (is_convolution(operations.front()->kind))
    return work_of_convolution(ConvolutionNode(*operations.front()), plan.engine, pack);
  const auto run = GraphRun::make(operations, pack);
  if (!run) return {};
  return [run = *run] { run.compute(); };
}

}  // namespace
}  // namespace rubato::cuda_fake

using namespace rubato::cuda_fake;

extern "C" {

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t kind, cudnnBackendDescriptor_t* descriptor) {
  if (machine().fails("cudnnBackendCreateDescriptor")) return CUDNN_STATUS_INTERNAL_ERROR;
  auto* const made = new Descriptor;
  made->kind = kind;
  live_descriptors().insert(made);
  ++machine().descriptors;
  *descriptor = made;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t handle) {
  auto* const descriptor = static_cast<Descriptor*>(handle);
  if (live_descriptors().erase(descriptor) == 0) {
    machine().fault("cudnnBackendDestroyDescriptor of what is no descriptor");
    return CUDNN_STATUS_BAD_PARAM;
  }
  const auto in_use = [&](const Descriptor* other) { return refers_to(*other, descriptor); };
  if (std::ranges::any_of(live_descriptors(), in_use))
    machine().fault("cudnnBackendDestroyDescriptor of what another descriptor refers to");
  delete descriptor;
  --machine().descriptors;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t handle, cudnnBackendAttributeName_t which,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  if (machine().fails("cudnnBackendSetAttribute")) return CUDNN_STATUS_BAD_PARAM;
  auto& descriptor = *static_cast<Descriptor*>(handle);
  if (descriptor.finalized || count <= 0 || values == nullptr) return CUDNN_STATUS_BAD_PARAM;
  if (!refers_well(type, count, values)) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
  const auto* const bytes = static_cast<const std::byte*>(values);
  descriptor.attributes[which] = {type, {bytes, bytes + static_cast<std::size_t>(count) * size_of(type)}};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const handle, cudnnBackendAttributeName_t which,
                                       cudnnBackendAttributeType_t, int64_t most, int64_t* count, void* values) {
  if (machine().fails("cudnnBackendGetAttribute")) return CUDNN_STATUS_BAD_PARAM;
  const auto& descriptor = *static_cast<const Descriptor*>(handle);
  if (!descriptor.finalized) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
  switch (which) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
      return fill(descriptor, named_by(descriptor), most, count, values);
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      return fill(descriptor, {descriptor.engine_index}, most, count, values);
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      return give(std::vector{static_cast<int64_t>(descriptor.engine_index)}, most, count, values);
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
      return give(notes_of(descriptor.engine), most, count, values);
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
      return give(behavior_of(descriptor.engine), most, count, values);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      return give(std::vector{static_cast<int64_t>(descriptor.engine.scratch_bytes)}, most, count, values);
    default:
      return CUDNN_STATUS_NOT_SUPPORTED;
  }
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t handle) {
  if (machine().fails("cudnnBackendFinalize")) return CUDNN_STATUS_BAD_PARAM;
  auto& descriptor = *static_cast<Descriptor*>(handle);
  const cudnnStatus_t status = judge(descriptor);
  descriptor.finalized = status == CUDNN_STATUS_SUCCESS;
  return status;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle,
                                  cudnnBackendDescriptor_t pack_handle) {
  constexpr const char* kName = "cudnnBackendExecute";
  if (machine().fails(kName)) return CUDNN_STATUS_EXECUTION_FAILED;
  const auto& plan = *static_cast<const Descriptor*>(plan_handle);
  const auto& pack = *static_cast<const Descriptor*>(pack_handle);
  const cudaStream_t stream = cudnn_of(handle).stream;
  if (!plan.finalized || !pack.finalized || !machine().is_stream(stream, kName) ||
      plan.one<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) != handle)
    return CUDNN_STATUS_BAD_PARAM;
  auto* const scratch = pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  const std::size_t scratch_bytes = plan.engine.scratch_bytes;
  if (scratch_bytes > 0 && !machine().covers(scratch, scratch_bytes, kName)) return CUDNN_STATUS_BAD_PARAM;
  const std::function<void()> work = work_of(plan, pack);
  if (!work) return CUDNN_STATUS_BAD_PARAM;
  machine().enqueue(stream, [=] {
    machine().writes(scratch, scratch_bytes);
    work();
    if (scratch_bytes > 0) std::memset(scratch, 0xFF, scratch_bytes);
  });
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
