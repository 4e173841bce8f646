// A descriptor of the fake's graph API: attributes in a table, whatever they are about. What they mean is looked at
// when it is finalized (cudnn_backend.cc) and run (cudnn_convolution.cc, cudnn_graph.cc).
//
// Thread-safety: none.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/numbers.h"

namespace rubato::cuda_fake {

struct Descriptor {
  struct Value {
    cudnnBackendAttributeType_t type = CUDNN_TYPE_INT64;
    std::vector<std::byte> bytes;
  };

  cudnnBackendDescriptorType_t kind = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
  bool finalized = false;
  std::map<cudnnBackendAttributeName_t, Value> attributes;
  // Of an engine, its configuration and its plan: which it is, by its number among all that were offered.
  std::size_t engine_index = 0;
  Engine engine;

  [[nodiscard]] bool has(cudnnBackendAttributeName_t which) const { return attributes.contains(which); }
  template <typename T>
  [[nodiscard]] std::vector<T> all(cudnnBackendAttributeName_t which) const {
    const std::vector<std::byte>& bytes = attributes.at(which).bytes;
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  template <typename T>
  [[nodiscard]] T one(cudnnBackendAttributeName_t which) const {
    T value{};
    std::memcpy(&value, attributes.at(which).bytes.data(), sizeof value);
    return value;
  }
  [[nodiscard]] const Descriptor& at(cudnnBackendAttributeName_t which) const {
    return *static_cast<const Descriptor*>(one<cudnnBackendDescriptor_t>(which));
  }
};

// A tensor's rows, as its strides say.
struct StridedTensor {
  explicit StridedTensor(const Descriptor& descriptor)
      : type(descriptor.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE) == CUDNN_DATA_BFLOAT16 ? Type::kBfloat16
                                                                                                 : Type::kFloat32),
        id(descriptor.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)),
        alignment(descriptor.one<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)),
        dims(descriptor.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS)),
        strides(descriptor.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES)) {}

  // From its first number to its last.
  [[nodiscard]] std::size_t bytes() const { return numbers() * bytes_of(type); }
  [[nodiscard]] std::size_t numbers() const {
    std::int64_t last = 0;
    for (std::size_t i = 0; i < dims.size(); ++i) last += (dims[i] - 1) * strides[i];
    return static_cast<std::size_t>(last + 1);
  }
  [[nodiscard]] std::int64_t offset(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const {
    return a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3];
  }

  Type type;
  std::int64_t id, alignment;
  std::vector<std::int64_t> dims, strides;
};

// The three operations on a convolution, with one name for what each has under its own.
struct ConvolutionNode {
  explicit ConvolutionNode(const Descriptor& operation);

  cudnnBackendDescriptorType_t kind;
  const Descriptor& convolution;
  StridedTensor x, w, y;
  std::int64_t stride, padding;
};

[[nodiscard]] bool is_convolution(cudnnBackendDescriptorType_t kind);
// The attributes of such an operation: x, w, y, convolution, alpha, beta.
[[nodiscard]] std::vector<cudnnBackendAttributeName_t> convolution_attributes(cudnnBackendDescriptorType_t kind);
// Whether the shapes fit each other, and it is a kind that Rubato asks for.
[[nodiscard]] bool is_right(const ConvolutionNode& node);
// Whether there is an engine for the tensors' types: they are all the same. (cuDNN 9.19 has none that multiplies
// bfloat16 and gives float32.)
[[nodiscard]] bool has_types(const ConvolutionNode& node);
// Which of the three tensors is computed.
[[nodiscard]] const StridedTensor& result_of(const ConvolutionNode& node);
void compute(const ConvolutionNode& node, const Engine& engine, void* x, void* w, void* y);

}  // namespace rubato::cuda_fake
