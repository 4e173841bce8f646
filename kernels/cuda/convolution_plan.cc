#include "kernels/cuda/convolution_plan.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/precision.h"

namespace rubato::kernels::cuda {
namespace {

constexpr std::int64_t kInput = 'x', kWeights = 'w', kOutput = 'y';

// Rows one behind the other: N, C, H, W of what lies as N, H, W, C.
Result<CudnnDescriptor> make_tensor(std::int64_t id, cudnnDataType_t type, std::int64_t n, std::int64_t h,
                                    std::int64_t w, std::int64_t c) {
  return make_descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor", Attribute{CUDNN_ATTR_TENSOR_DATA_TYPE, type},
                         Attribute{CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector{n, c, h, w}},
                         Attribute{CUDNN_ATTR_TENSOR_STRIDES, std::vector{h * w * c, std::int64_t{1}, w * c, c}},
                         Attribute{CUDNN_ATTR_TENSOR_UNIQUE_ID, id},
                         Attribute{CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kTensorAlignment});
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
  RUBATO_ASSIGN(graph_, make_graph(target, {&operation_}));
  return {};
}

Status ConvolutionPlan::choose_engine(const PlanTarget& target, const EngineLimits& limits) {
  RUBATO_ASSIGN(auto chosen, EnginePlan::choose(target, graph_, limits));
  if (!chosen)
    return Error{Cause::kDevice, fmt::format("cuDNN has no deterministic engine for {} within {} bytes of scratch",
                                             text_of(limits.precision), limits.scratch_max)};
  plan_ = *std::move(chosen);
  return {};
}

Status ConvolutionPlan::run(const CudaContext& context, const ConvolutionTensors& at, void* scratch) {
  const Status packed = pack_.pack({{kInput, at.input}, {kWeights, at.weights}, {kOutput, at.output}}, scratch);
  if (!packed.ok()) return packed.error().in(text_);
  RUBATO_ASSIGN(const cudnnHandle_t handle, context.cudnn_handle());
  return check(cudnnBackendExecute(handle, plan_.get(), pack_.get()), "cudnnBackendExecute of {} on stream {}", text_,
               context.stream.name());
}

}  // namespace rubato::kernels::cuda
