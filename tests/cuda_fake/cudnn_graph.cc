#include "tests/cuda_fake/cudnn_graph.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "tests/cuda_fake/machine.h"

namespace rubato::cuda_fake {
namespace {

using Attributes = std::vector<cudnnBackendAttributeName_t>;
using Dims = std::vector<std::int64_t>;

// How it is done, x, y, and the other one of two that are read.
Attributes ports_of(cudnnBackendDescriptorType_t kind) {
  switch (kind) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_ATTR_OPERATION_MATMUL_CDESC,
              CUDNN_ATTR_OPERATION_MATMUL_BDESC};
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_REDUCTION_DESC, CUDNN_ATTR_OPERATION_REDUCTION_XDESC,
              CUDNN_ATTR_OPERATION_REDUCTION_YDESC};
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
              CUDNN_ATTR_OPERATION_POINTWISE_YDESC};
    default:  // a view, which is done in no way of its own
      return {CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_ATTR_OPERATION_RESHAPE_XDESC,
              CUDNN_ATTR_OPERATION_RESHAPE_YDESC};
  }
}

std::size_t count_of(const Dims& dims) {
  std::int64_t count = 1;
  for (const std::int64_t extent : dims) count *= extent;
  return static_cast<std::size_t>(count);
}

// visit(index, offset): each number's place among all, in the order of its indices, and these.
template <typename Visit>
void for_each(const Dims& dims, const Visit& visit) {
  std::size_t index = 0;
  for (std::int64_t a = 0; a < dims[0]; ++a)
    for (std::int64_t b = 0; b < dims[1]; ++b)
      for (std::int64_t c = 0; c < dims[2]; ++c)
        for (std::int64_t d = 0; d < dims[3]; ++d) visit(index++, Dims{a, b, c, d});
}

// What is 1 long stands for as much as there is.
std::size_t place(const Dims& dims, const Dims& at) {
  std::int64_t index = 0;
  for (std::size_t i = 0; i < dims.size(); ++i) index = index * dims[i] + (dims[i] == 1 ? 0 : at[i]);
  return static_cast<std::size_t>(index);
}

bool spreads_to(const Dims& from, const Dims& to) {
  for (std::size_t i = 0; i < to.size(); ++i)
    if (from[i] != to[i] && from[i] != 1) return false;
  return true;
}

Dims dims_of(const Descriptor& operation, cudnnBackendAttributeName_t which) {
  return operation.at(which).all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
}

bool is_right_product(const Dims& a, const Dims& b, const Dims& c) {
  return a[0] == c[0] && b[0] == c[0] && a[1] == c[1] && b[1] == c[1] && a[2] == c[2] && b[3] == c[3] && a[3] == b[2];
}

bool flag(const Descriptor& tensor, cudnnBackendAttributeName_t which) {
  return tensor.has(which) && tensor.one<bool>(which);
}

// How many it reads, or none: it is no function that Rubato asks for.
int reads_of(cudnnPointwiseMode_t mode) {
  switch (mode) {
    case CUDNN_POINTWISE_EXP:
    case CUDNN_POINTWISE_LOG:
    case CUDNN_POINTWISE_GEN_INDEX:
      return 1;
    case CUDNN_POINTWISE_ADD:
    case CUDNN_POINTWISE_SUB:
    case CUDNN_POINTWISE_MUL:
    case CUDNN_POINTWISE_DIV:
    case CUDNN_POINTWISE_CMP_GE:
      return 2;
    case CUDNN_POINTWISE_BINARY_SELECT:
      return 3;
    default:
      return 0;
  }
}

double value_of(cudnnPointwiseMode_t mode, double x, double b, double t) {
  switch (mode) {
    case CUDNN_POINTWISE_EXP:
      return std::exp(x);
    case CUDNN_POINTWISE_LOG:
      return std::log(x);
    case CUDNN_POINTWISE_ADD:
      return x + b;
    case CUDNN_POINTWISE_SUB:
      return x - b;
    case CUDNN_POINTWISE_MUL:
      return x * b;
    case CUDNN_POINTWISE_DIV:
      return x / b;
    case CUDNN_POINTWISE_CMP_GE:
      return x >= b ? 1.0 : 0.0;
    default:
      return t != 0.0 ? x : b;
  }
}

bool is_right_pointwise(const Descriptor& operation) {
  constexpr auto kB = CUDNN_ATTR_OPERATION_POINTWISE_BDESC, kT = CUDNN_ATTR_OPERATION_POINTWISE_TDESC;
  const auto mode =
      operation.at(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR).one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
  const int reads = reads_of(mode);
  if (reads == 0 || operation.has(kB) != (reads > 1) || operation.has(kT) != (reads > 2)) return false;
  const Dims to = dims_of(operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  for (const auto which : {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, kB, kT})
    if (operation.has(which) && !spreads_to(dims_of(operation, which), to)) return false;
  return true;
}

bool is_view(const Descriptor& x, const Descriptor& y) {
  return StridedTensor(x).numbers() == StridedTensor(y).numbers();
}

}  // namespace

bool is_graph_operation(cudnnBackendDescriptorType_t kind) {
  return kind == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR || kind == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR ||
         kind == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR || kind == CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR;
}

Attributes graph_attributes(cudnnBackendDescriptorType_t kind) {
  if (is_graph_operation(kind)) return ports_of(kind);
  switch (kind) {
    case CUDNN_BACKEND_MATMUL_DESCRIPTOR:
      return {CUDNN_ATTR_MATMUL_COMP_TYPE};
    case CUDNN_BACKEND_REDUCTION_DESCRIPTOR:
      return {CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_ATTR_REDUCTION_COMP_TYPE};
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
      return {CUDNN_ATTR_POINTWISE_MODE, CUDNN_ATTR_POINTWISE_MATH_PREC};
    default:
      return {};
  }
}

bool is_right_operation(const Descriptor& operation) {
  const Attributes ports = ports_of(operation.kind);
  const Dims x = dims_of(operation, ports[1]), y = dims_of(operation, ports[2]);
  if (x.size() != 4 || y.size() != 4) return false;
  switch (operation.kind) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return is_right_product(x, dims_of(operation, ports[3]), y) &&
             operation.at(ports[0]).one<cudnnDataType_t>(CUDNN_ATTR_MATMUL_COMP_TYPE) == CUDNN_DATA_FLOAT;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return spreads_to(y, x) &&
             operation.at(ports[0]).one<cudnnDataType_t>(CUDNN_ATTR_REDUCTION_COMP_TYPE) == CUDNN_DATA_FLOAT;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      return is_right_pointwise(operation);
    default:
      return is_view(operation.at(ports[1]), operation.at(ports[2]));
  }
}

bool has_types(const std::vector<const Descriptor*>& operations) {
  for (const Descriptor* operation : operations) {
    if (operation->kind != CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR) continue;
    for (const auto factor : {CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_ATTR_OPERATION_MATMUL_BDESC})
      if (operation->at(factor).one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE) != CUDNN_DATA_BFLOAT16) return false;
  }
  return true;
}

bool is_ordered(const std::vector<const Descriptor*>& operations) {
  std::set<const Descriptor*> computed;
  for (const Descriptor* operation : operations) {
    const Attributes ports = ports_of(operation->kind);
    Attributes read = {ports[1]};
    if (ports.size() > 3) read.push_back(ports[3]);
    for (const auto which : {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_ATTR_OPERATION_POINTWISE_TDESC})
      if (operation->has(which)) read.push_back(which);
    for (const auto which : read)
      if (const Descriptor& tensor = operation->at(which);
          flag(tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL) && !computed.contains(&tensor))
        return false;
    computed.insert(&operation->at(ports[2]));
  }
  return true;
}

GraphRun::Tensor::Tensor(const Descriptor& descriptor)
    : shape(descriptor),
      nowhere(flag(descriptor, CUDNN_ATTR_TENSOR_IS_VIRTUAL)),
      on_host(flag(descriptor, CUDNN_ATTR_TENSOR_IS_BY_VALUE)) {}

std::int64_t GraphRun::add(const Descriptor& tensor) {
  const auto id = tensor.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  tensors_.try_emplace(id, tensor);
  return id;
}

std::optional<GraphRun> GraphRun::make(const std::vector<const Descriptor*>& operations, const Descriptor& pack) {
  GraphRun run;
  for (const Descriptor* operation : operations) {
    const Attributes ports = ports_of(operation->kind);
    Step step;
    step.kind = operation->kind;
    step.x = run.add(operation->at(ports[1]));
    step.y = run.add(operation->at(ports[2]));
    if (ports.size() > 3) step.b = run.add(operation->at(ports[3]));
    const auto optional = [&](cudnnBackendAttributeName_t which) {
      return operation->has(which) ? std::optional(run.add(operation->at(which))) : std::nullopt;
    };
    const Descriptor& how = operation->at(ports[0]);
    if (operation->kind == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) {
      step.b = optional(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
      step.t = optional(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
      step.mode = how.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
      if (how.has(CUDNN_ATTR_POINTWISE_AXIS)) step.axis = how.one<std::int64_t>(CUDNN_ATTR_POINTWISE_AXIS);
    } else if (operation->kind == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR) {
      step.mode = how.one<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
    }
    run.steps_.push_back(step);
  }
  const auto ids = pack.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  if (ids.size() != pointers.size()) return std::nullopt;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto found = run.tensors_.find(ids[i]);
    if (found == run.tensors_.end() || found->second.nowhere) return std::nullopt;
    found->second.at = pointers[i];
  }
  for (auto& [id, tensor] : run.tensors_) {
    if (tensor.nowhere) continue;
    if (tensor.at == nullptr || reinterpret_cast<std::uintptr_t>(tensor.at) % 4 != 0) return std::nullopt;
    if (tensor.on_host) {
      if (machine().is_device(tensor.at)) return std::nullopt;
      tensor.value = static_cast<double>(*static_cast<const float*>(tensor.at));
      continue;
    }
    const bool aligned =
        reinterpret_cast<std::uintptr_t>(tensor.at) % static_cast<std::uintptr_t>(tensor.shape.alignment) == 0;
    if (!aligned || !machine().covers(tensor.at, tensor.shape.bytes(), "cudnnBackendExecute")) return std::nullopt;
  }
  return run;
}

void GraphRun::compute() const {
  Values values;
  for (const Step& step : steps_) write(step.y, result_of(step, values), values);
}

const std::vector<double>& GraphRun::read(std::int64_t id, Values& values) const {
  if (const auto known = values.find(id); known != values.end()) return known->second;
  const Tensor& tensor = tensors_.at(id);
  std::vector<double>& to = values[id];
  if (tensor.on_host) {
    to = {tensor.value};
    return to;
  }
  machine().reads(tensor.at, tensor.shape.bytes());
  const Numbers numbers(tensor.at, tensor.shape.type);
  to.resize(count_of(tensor.shape.dims));
  for_each(tensor.shape.dims,
           [&](std::size_t i, const Dims& at) { to[i] = numbers[tensor.shape.offset(at[0], at[1], at[2], at[3])]; });
  return to;
}

void GraphRun::write(std::int64_t id, std::vector<double> computed, Values& values) const {
  const Tensor& tensor = tensors_.at(id);
  for (double& value : computed)
    value =
        tensor.shape.type == Type::kBfloat16 ? to_eight_bits(value) : static_cast<double>(static_cast<float>(value));
  if (!tensor.nowhere) {
    machine().writes(tensor.at, tensor.shape.bytes());
    const Numbers numbers(tensor.at, tensor.shape.type);
    for_each(tensor.shape.dims, [&](std::size_t i, const Dims& at) {
      numbers.set(tensor.shape.offset(at[0], at[1], at[2], at[3]), computed[i]);
    });
  }
  values[id] = std::move(computed);
}

std::vector<double> GraphRun::result_of(const Step& step, Values& values) const {
  switch (step.kind) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return product(step, values);
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return reduced(step, values);
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
      return view(step, values);
    default:
      return pointwise(step, values);
  }
}

std::vector<double> GraphRun::product(const Step& step, Values& values) const {
  const Dims &a_dims = tensors_.at(step.x).shape.dims, &b_dims = tensors_.at(*step.b).shape.dims,
             &to = tensors_.at(step.y).shape.dims;
  const std::vector<double>&a = read(step.x, values), &b = read(*step.b, values);
  std::vector<double> sums(count_of(to));
  for_each(to, [&](std::size_t i, const Dims& at) {
    for (std::int64_t k = 0; k < a_dims[3]; ++k)
      sums[i] += a[place(a_dims, {at[0], at[1], at[2], k})] * b[place(b_dims, {at[0], at[1], k, at[3]})];
  });
  return sums;
}

std::vector<double> GraphRun::reduced(const Step& step, Values& values) const {
  const Dims &from = tensors_.at(step.x).shape.dims, &to = tensors_.at(step.y).shape.dims;
  const std::vector<double>& x = read(step.x, values);
  const bool greatest = step.mode == CUDNN_REDUCE_TENSOR_MAX;
  std::vector<double> all(count_of(to), greatest ? -std::numeric_limits<double>::infinity() : 0.0);
  for_each(from, [&](std::size_t i, const Dims& at) {
    double& into = all[place(to, at)];
    into = greatest ? std::max(into, x[i]) : into + x[i];
  });
  return all;
}

std::vector<double> GraphRun::view(const Step& step, Values& values) const {
  const StridedTensor &from = tensors_.at(step.x).shape, &to = tensors_.at(step.y).shape;
  const std::vector<double>& x = read(step.x, values);
  std::vector<double> memory(from.numbers()), seen(count_of(to.dims));
  const auto offset = [](const StridedTensor& tensor, const Dims& at) {
    return static_cast<std::size_t>(tensor.offset(at[0], at[1], at[2], at[3]));
  };
  for_each(from.dims, [&](std::size_t i, const Dims& at) { memory[offset(from, at)] = x[i]; });
  for_each(to.dims, [&](std::size_t i, const Dims& at) { seen[i] = memory[offset(to, at)]; });
  return seen;
}

std::vector<double> GraphRun::pointwise(const Step& step, Values& values) const {
  const Dims& to = tensors_.at(step.y).shape.dims;
  const auto mode = static_cast<cudnnPointwiseMode_t>(step.mode);
  std::vector<double> all(count_of(to));
  if (mode == CUDNN_POINTWISE_GEN_INDEX) {
    for_each(to, [&](std::size_t i, const Dims& at) {
      all[i] = static_cast<double>(at[static_cast<std::size_t>(step.axis)]);
    });
    return all;
  }
  const auto number = [&](std::optional<std::int64_t> id, const Dims& at) {
    return id ? read(*id, values)[place(tensors_.at(*id).shape.dims, at)] : 0.0;
  };
  for_each(to, [&](std::size_t i, const Dims& at) {
    all[i] = value_of(mode, number(step.x, at), number(step.b, at), number(step.t, at));
  });
  return all;
}

}  // namespace rubato::cuda_fake
