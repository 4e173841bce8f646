#include "kernels/cuda/graph_builder.h"

#include <utility>

namespace rubato::kernels::cuda {

GraphBuilder::Tensor GraphBuilder::keep(Result<CudnnDescriptor> made) {
  if (!made.ok()) {
    status_ = made.error();
    return nullptr;
  }
  made_.all.push_back(std::make_unique<CudnnDescriptor>(std::move(made).value()));
  return made_.all.back().get();
}

void GraphBuilder::add(cudnnBackendDescriptorType_t type, const char* name, const std::vector<Port>& ports) {
  if (!status_.ok()) return;
  const auto described = [&]() -> Result<CudnnDescriptor> {
    RUBATO_ASSIGN(auto operation, CudnnDescriptor::create(type, name));
    for (const Port& port : ports) RUBATO_TRY(operation.set(port.which, *port.what));
    RUBATO_TRY(operation.finalize());
    return operation;
  };
  operations_.push_back(keep(described()));
}

GraphBuilder::Tensor GraphBuilder::make_tensor(std::int64_t id, const Kind& kind, Place place) {
  const auto list = [](const Extents& extents) { return std::vector(extents.begin(), extents.end()); };
  return make(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor", Attribute{CUDNN_ATTR_TENSOR_DATA_TYPE, kind.type},
              Attribute{CUDNN_ATTR_TENSOR_DIMENSIONS, list(kind.shape.dims)},
              Attribute{CUDNN_ATTR_TENSOR_STRIDES, list(kind.shape.strides)},
              Attribute{CUDNN_ATTR_TENSOR_UNIQUE_ID, id}, Attribute{CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kTensorAlignment},
              Attribute{CUDNN_ATTR_TENSOR_IS_VIRTUAL, place == Place::kNowhere},
              Attribute{CUDNN_ATTR_TENSOR_IS_BY_VALUE, place == Place::kHost});
}

GraphBuilder::Tensor GraphBuilder::how_pointwise(cudnnPointwiseMode_t mode, cudnnDataType_t precision) {
  return make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "a pointwise function", Attribute{CUDNN_ATTR_POINTWISE_MODE, mode},
              Attribute{CUDNN_ATTR_POINTWISE_MATH_PREC, precision});
}

GraphBuilder::Tensor GraphBuilder::product(Tensor left, Tensor right, Tensor to) {
  const Tensor how =
      make(CUDNN_BACKEND_MATMUL_DESCRIPTOR, "a product", Attribute{CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT});
  add(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, "the operation of a product",
      {{CUDNN_ATTR_OPERATION_MATMUL_DESC, how},
       {CUDNN_ATTR_OPERATION_MATMUL_ADESC, left},
       {CUDNN_ATTR_OPERATION_MATMUL_BDESC, right},
       {CUDNN_ATTR_OPERATION_MATMUL_CDESC, to}});
  return to;
}

GraphBuilder::Tensor GraphBuilder::pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor to) {
  add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "a pointwise operation",
      {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how_pointwise(mode)},
       {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
       {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to}});
  return to;
}

GraphBuilder::Tensor GraphBuilder::pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor to) {
  add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "a pointwise operation",
      {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how_pointwise(mode)},
       {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
       {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b},
       {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to}});
  return to;
}

GraphBuilder::Tensor GraphBuilder::reduce(cudnnReduceTensorOp_t mode, Tensor x, Tensor to) {
  const Tensor how =
      make(CUDNN_BACKEND_REDUCTION_DESCRIPTOR, "a reduction", Attribute{CUDNN_ATTR_REDUCTION_OPERATOR, mode},
           Attribute{CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT});
  add(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, "the operation of a reduction",
      {{CUDNN_ATTR_OPERATION_REDUCTION_DESC, how},
       {CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x},
       {CUDNN_ATTR_OPERATION_REDUCTION_YDESC, to}});
  return to;
}

GraphBuilder::Tensor GraphBuilder::view(Tensor x, Tensor to) {
  add(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, "a view",
      {{CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x}, {CUDNN_ATTR_OPERATION_RESHAPE_YDESC, to}});
  return to;
}

// Of each number of x, in what it is an element of: 2, the row; 3, the column.
GraphBuilder::Tensor GraphBuilder::position(Tensor x, std::int64_t axis, const Shape& shape) {
  const Tensor how = make(
      CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "an index", Attribute{CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_GEN_INDEX},
      Attribute{CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT}, Attribute{CUDNN_ATTR_POINTWISE_AXIS, axis});
  const Tensor index = between({CUDNN_DATA_INT32, shape});
  add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "the operation of an index",
      {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how},
       {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
       {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, index}});
  return index;
}

GraphBuilder::Tensor GraphBuilder::causal(Tensor x, Tensor minus_infinity, const Shape& shape) {
  const Tensor row = position(x, 2, shape), column = position(x, 3, shape);
  const Tensor seen = between({CUDNN_DATA_BOOLEAN, shape}), masked = between({CUDNN_DATA_FLOAT, shape});
  add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "the operation of a comparison",
      {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how_pointwise(CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN)},
       {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, row},
       {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, column},
       {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, seen}});
  add(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "the operation of a mask",
      {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how_pointwise(CUDNN_POINTWISE_BINARY_SELECT)},
       {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
       {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, minus_infinity},
       {CUDNN_ATTR_OPERATION_POINTWISE_TDESC, seen},
       {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, masked}});
  return masked;
}

Status GraphBuilder::finish(const PlanTarget& target) {
  if (status_.ok()) keep(make_graph(target, operations_));
  return status_;
}

}  // namespace rubato::kernels::cuda
