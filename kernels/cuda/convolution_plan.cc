#include "kernels/cuda/convolution_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/precision.h"

namespace rubato::kernels::cuda {
namespace {

constexpr std::int64_t kAlignment = 16;  // of every tensor, at least: model/memory_plan.cc, cudaMalloc
constexpr std::int64_t kInput = 'x', kWeights = 'w', kOutput = 'y';

// Rows one behind the other: N, C, H, W of what lies as N, H, W, C.
Result<CudnnDescriptor> make_tensor(std::int64_t id, cudnnDataType_t type, std::int64_t n, std::int64_t h,
                                    std::int64_t w, std::int64_t c) {
  return make_descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor", Attribute{CUDNN_ATTR_TENSOR_DATA_TYPE, type},
                         Attribute{CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector{n, c, h, w}},
                         Attribute{CUDNN_ATTR_TENSOR_STRIDES, std::vector{h * w * c, std::int64_t{1}, w * c, c}},
                         Attribute{CUDNN_ATTR_TENSOR_UNIQUE_ID, id},
                         Attribute{CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment});
}
Result<CudnnDescriptor> make_tensor(std::int64_t id, cudnnDataType_t type, const TensorShape& shape) {
  return make_tensor(id, type, shape.samples, shape.height, shape.width, shape.channels);
}

// What everybody calls a convolution is a cross-correlation in cuDNN's words.
Result<CudnnDescriptor> make_convolution(const ConvolutionDesc& desc) {
  const auto both = [](std::int64_t value) { return std::vector(2, value); };
  return make_descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "a convolution",
                         Attribute{CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2}},
                         Attribute{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT},
                         Attribute{CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION},
                         Attribute{CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, both(desc.padding)},
                         Attribute{CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, both(desc.padding)},
                         Attribute{CUDNN_ATTR_CONVOLUTION_DILATIONS, both(1)},
                         Attribute{CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, both(desc.stride)});
}

// What the operation of a call is called, and its attributes.
struct Node {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t input, weights, output, convolution, alpha, beta;
};

Node node_of(ConvolutionCall call) {
  switch (call) {
    case ConvolutionCall::kBackwardData:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvolutionCall::kBackwardWeights:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
    case ConvolutionCall::kForward:
      break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
}

// Left out are engines
// - whose bits differ from run to run;
// - that use tensor cores on float32, which means TF32, where that is not asked for;
// - that round factors or sums in other ways;
// - that multiply transforms (Fourier, Winograd): their roundings are not those that our bounds are derived for;
// - that are compiled when the plan is made, which takes seconds, and NVRTC.
Result<bool> is_welcome(const CudnnDescriptor& engine, Precision precision) {
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
  const bool exact = precision == Precision::kFloat32;
  if (exact && std::ranges::find(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) != notes.end()) return false;
  RUBATO_ASSIGN(const auto behavior, engine.numbers<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                                CUDNN_BEHAVIOR_NOTE_TYPE_COUNT));
  return std::ranges::find(behavior, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) == behavior.end();
}

Result<CudnnDescriptor> make_heuristics(const PlanTarget& target, const CudnnDescriptor& graph,
                                        cudnnBackendHeurMode_t mode) {
  RUBATO_ASSIGN(auto heuristics, CudnnDescriptor::create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristics"));
  RUBATO_TRY(heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph));
  RUBATO_TRY(heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode));
  if (target.properties != nullptr) RUBATO_TRY(heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties));
  RUBATO_TRY(heuristics.finalize());
  return heuristics;
}

std::string text_of(const ConvolutionDesc& desc, ConvolutionCall call) {
  const TensorShape& in = desc.input;
  return fmt::format("convolution {} of {} x {} x {} x {}, {} of {} x {}, stride {}, padding {}", name_of(call),
                     in.samples, in.height, in.width, in.channels, desc.channels, desc.kernel, desc.kernel, desc.stride,
                     desc.padding);
}

}  // namespace

const char* name_of(ConvolutionCall call) {
  switch (call) {
    case ConvolutionCall::kBackwardData:
      return "backward_data";
    case ConvolutionCall::kBackwardWeights:
      return "backward_weights";
    case ConvolutionCall::kForward:
      break;
  }
  return "forward";
}

Result<ConvolutionPlan> ConvolutionPlan::choose(const PlanTarget& target, const ConvolutionDesc& desc,
                                                ConvolutionCall call, const EngineLimits& limits) {
  ConvolutionPlan plan;
  plan.text_ = text_of(desc, call);
  Status status = plan.describe(target, desc, call, limits.precision);
  if (status.ok()) status = plan.choose_engine(target, limits);
  if (!status.ok()) return status.error().in(plan.text_);
  return plan;
}

Status ConvolutionPlan::describe(const PlanTarget& target, const ConvolutionDesc& desc, ConvolutionCall call,
                                 Precision precision) {
  const cudnnDataType_t type = precision == Precision::kBfloat16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  RUBATO_ASSIGN(input_, make_tensor(kInput, type, desc.input));
  RUBATO_ASSIGN(weights_, make_tensor(kWeights, type, desc.channels, desc.kernel, desc.kernel, desc.input.channels));
  RUBATO_ASSIGN(output_, make_tensor(kOutput, type, output_shape(desc)));
  RUBATO_ASSIGN(convolution_, make_convolution(desc));
  const Node node = node_of(call);
  RUBATO_ASSIGN(operation_, make_descriptor(node.type, "an operation", Attribute{node.input, input_},
                                            Attribute{node.weights, weights_}, Attribute{node.output, output_},
                                            Attribute{node.convolution, convolution_}, Attribute{node.alpha, 1.0f},
                                            Attribute{node.beta, 0.0f}));
  RUBATO_ASSIGN(graph_, CudnnDescriptor::create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "a graph"));
  RUBATO_TRY(graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation_));
  if (target.handle != nullptr) RUBATO_TRY(graph_.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle));
  return graph_.finalize();
}

Status ConvolutionPlan::choose_engine(const PlanTarget& target, const EngineLimits& limits) {
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    RUBATO_TRY(try_engines(target, mode, limits));
    if (chosen_) return {};
  }
  return Error{Cause::kDevice, fmt::format("cuDNN has no deterministic engine for {} within {} bytes of scratch",
                                           text_of(limits.precision), limits.scratch_max)};
}

Status ConvolutionPlan::try_engines(const PlanTarget& target, cudnnBackendHeurMode_t mode, const EngineLimits& limits) {
  RUBATO_ASSIGN(const CudnnDescriptor heuristics, make_heuristics(target, graph_, mode));
  RUBATO_ASSIGN(auto configs, heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                                     "an engine's configuration"));
  for (CudnnDescriptor& config : configs) {
    RUBATO_TRY(take(target, std::move(config), limits));
    if (chosen_) return {};
  }
  return {};
}

// Leaves chosen_ as it is where the engine is not welcome, wants too much, or cannot do it after all.
Status ConvolutionPlan::take(const PlanTarget& target, CudnnDescriptor config, const EngineLimits& limits) {
  RUBATO_ASSIGN(const auto engines,
                config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine"));
  if (engines.empty()) return {};
  RUBATO_ASSIGN(const bool welcome, is_welcome(engines.front(), limits.precision));
  if (!welcome) return {};
  RUBATO_ASSIGN(auto plan, CudnnDescriptor::create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "an execution plan"));
  RUBATO_TRY(plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config));
  // Said to be deprecated; cuDNN before 9.8 wants it.
  if (target.handle != nullptr) RUBATO_TRY(plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle));
  if (target.properties != nullptr) RUBATO_TRY(plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties));
  RUBATO_ASSIGN(const bool supported, plan.finalize_if_supported());
  if (!supported) return {};
  RUBATO_ASSIGN(const auto scratch, plan.number<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
  if (static_cast<std::size_t>(scratch) > limits.scratch_max) return {};
  RUBATO_ASSIGN(engine_, engines.front().number<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
  scratch_bytes_ = static_cast<std::size_t>(scratch);
  config_ = std::move(config);
  plan_ = std::move(plan);
  chosen_ = true;
  return {};
}

Status ConvolutionPlan::pack(const ConvolutionTensors& at, void* scratch) {
  const auto changeable = [](const void* data) { return const_cast<void*>(data); };
  RUBATO_ASSIGN(pack_, make_descriptor(
                           CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "addresses",
                           Attribute{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::vector{kInput, kWeights, kOutput}},
                           Attribute{CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                     std::vector{changeable(at.input), changeable(at.weights), changeable(at.output)}},
                           Attribute{CUDNN_ATTR_VARIANT_PACK_WORKSPACE, scratch}));
  packed_ = at;
  packed_scratch_ = scratch;
  return {};
}

Status ConvolutionPlan::run(const CudaContext& context, const ConvolutionTensors& at, void* scratch) {
  if (packed_ != at || packed_scratch_ != scratch) {
    packed_ = {};  // should it fail
    if (Status packed = pack(at, scratch); !packed.ok()) return packed.error().in(text_);
  }
  RUBATO_ASSIGN(const cudnnHandle_t handle, context.cudnn_handle());
  return check(cudnnBackendExecute(handle, plan_.get(), pack_.get()), "cudnnBackendExecute of {} on stream {}", text_,
               context.stream.name());
}

}  // namespace rubato::kernels::cuda
