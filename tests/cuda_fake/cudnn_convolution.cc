// The convolutions of the fake's cuDNN: forward, and both of backward, by one loop over all products, summed in double
// and rounded once, to what the tensor is.
// Written from the definition of the operations, with strides as they are given.
#include <algorithm>

#include "tests/cuda_fake/cudnn_descriptor.h"
#include "tests/cuda_fake/tf32.h"

namespace rubato::cuda_fake {
namespace {

using Attributes = std::vector<cudnnBackendAttributeName_t>;

// visit(n, k, p, q, c, r, s, h, v): the output's place, the weights', and the input's.
template <typename Visit>
void for_each_product(const ConvolutionNode& node, const Visit& visit) {
  const auto &x = node.x.dims, &w = node.w.dims, &y = node.y.dims;
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t k = 0; k < y[1]; ++k)
      for (std::int64_t p = 0; p < y[2]; ++p)
        for (std::int64_t q = 0; q < y[3]; ++q)
          for (std::int64_t r = 0; r < w[2]; ++r)
            for (std::int64_t s = 0; s < w[3]; ++s) {
              const std::int64_t h = p * node.stride + r - node.padding, v = q * node.stride + s - node.padding;
              if (h < 0 || h >= x[2] || v < 0 || v >= x[3]) continue;
              for (std::int64_t c = 0; c < x[1]; ++c) visit(n, k, p, q, c, r, s, h, v);
            }
}

void write(const StridedTensor& to, const std::vector<double>& sums, const Numbers& data) {
  for (std::int64_t a = 0; a < to.dims[0]; ++a)
    for (std::int64_t b = 0; b < to.dims[1]; ++b)
      for (std::int64_t c = 0; c < to.dims[2]; ++c)
        for (std::int64_t d = 0; d < to.dims[3]; ++d) {
          const std::int64_t at = to.offset(a, b, c, d);
          data.set(at, sums[static_cast<std::size_t>(at)]);
        }
}

}  // namespace

const StridedTensor& result_of(const ConvolutionNode& node) {
  if (node.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR) return node.x;
  return node.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? node.y : node.w;
}

bool is_convolution(cudnnBackendDescriptorType_t kind) {
  return kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
         kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
         kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
}

Attributes convolution_attributes(cudnnBackendDescriptorType_t kind) {
  if (kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
    return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  if (kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
    return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

ConvolutionNode::ConvolutionNode(const Descriptor& operation)
    : kind(operation.kind),
      convolution(operation.at(convolution_attributes(kind)[3])),
      x(operation.at(convolution_attributes(kind)[0])),
      w(operation.at(convolution_attributes(kind)[1])),
      y(operation.at(convolution_attributes(kind)[2])),
      stride(convolution.one<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)),
      padding(convolution.one<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)) {}

bool is_right(const ConvolutionNode& node) {
  const auto both = [&](cudnnBackendAttributeName_t which, std::int64_t value) {
    return node.convolution.all<std::int64_t>(which) == std::vector(2, value);
  };
  const bool plain =
      node.convolution.one<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2 &&
      node.convolution.one<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) == CUDNN_DATA_FLOAT &&
      node.convolution.one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION &&
      both(CUDNN_ATTR_CONVOLUTION_DILATIONS, 1) && both(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, node.padding) &&
      both(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, node.padding) &&
      both(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, node.stride);
  if (!plain) return false;
  const auto &x = node.x.dims, &w = node.w.dims, &y = node.y.dims;
  for (const auto* tensor : {&node.x, &node.w, &node.y})
    if (tensor->dims.size() != 4 || tensor->strides.size() != 4) return false;
  const auto extent = [&](std::size_t i) { return (x[i] + 2 * node.padding - w[i]) / node.stride + 1; };
  return x[0] == y[0] && x[1] == w[1] && w[0] == y[1] && y[2] == extent(2) && y[3] == extent(3);
}

bool has_types(const ConvolutionNode& node) { return node.x.type == node.w.type && node.x.type == node.y.type; }

void compute(const ConvolutionNode& node, const Engine& engine, void* x_data, void* w_data, void* y_data) {
  const StridedTensor& result = result_of(node);
  const Numbers x(x_data, node.x.type), w(w_data, node.w.type), y(y_data, node.y.type);
  std::vector<double> sums(result.numbers());
  // Of bfloat16 tensor cores lose nothing.
  const auto factor = [&](float value) { return static_cast<double>(engine.tensor_cores ? to_tf32(value) : value); };
  for_each_product(node, [&](std::int64_t n, std::int64_t k, std::int64_t p, std::int64_t q, std::int64_t c,
                             std::int64_t r, std::int64_t s, std::int64_t h, std::int64_t v) {
    const std::int64_t x_at = node.x.offset(n, c, h, v), w_at = node.w.offset(k, c, r, s),
                       y_at = node.y.offset(n, k, p, q);
    if (node.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
      sums[static_cast<std::size_t>(y_at)] += factor(x[x_at]) * factor(w[w_at]);
    else if (node.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
      sums[static_cast<std::size_t>(x_at)] += factor(y[y_at]) * factor(w[w_at]);
    else
      sums[static_cast<std::size_t>(w_at)] += factor(x[x_at]) * factor(y[y_at]);
  });
  // Atomic sums have another order each time.
  static bool other = false;
  other = !other;
  if (engine.atomic && other)
    for (double& sum : sums) sum *= 1.0 + 0x1p-22;
  write(result, sums, &result == &node.x ? x : &result == &node.w ? w : y);
}

}  // namespace rubato::cuda_fake
