// A descriptor of cuDNN's graph API: attributes, which are set, and then finalized, before another descriptor refers to
// it. Those that it refers to must outlive it.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernels/cuda/cudnn.h"

namespace rubato::kernels::cuda {

template <typename T>
constexpr cudnnBackendAttributeType_t attribute_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) return CUDNN_TYPE_INT64;
  if constexpr (std::is_same_v<T, float>) return CUDNN_TYPE_FLOAT;
  if constexpr (std::is_same_v<T, bool>) return CUDNN_TYPE_BOOLEAN;
  if constexpr (std::is_same_v<T, char>) return CUDNN_TYPE_CHAR;
  if constexpr (std::is_same_v<T, void*>) return CUDNN_TYPE_VOID_PTR;
  if constexpr (std::is_same_v<T, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  if constexpr (std::is_same_v<T, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  if constexpr (std::is_same_v<T, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
  if constexpr (std::is_same_v<T, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
  if constexpr (std::is_same_v<T, cudnnReduceTensorOp_t>) return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE;
  if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
  if constexpr (std::is_same_v<T, cudnnBackendBehaviorNote_t>) return CUDNN_TYPE_BEHAVIOR_NOTE;
}

class CudnnDescriptor {
 public:
  // The name is for errors; a literal.
  static Result<CudnnDescriptor> create(cudnnBackendDescriptorType_t type, const char* name);

  [[nodiscard]] cudnnBackendDescriptor_t get() const { return handle_.get(); }
  [[nodiscard]] Status finalize();
  // False where what was described is right, and cuDNN does not have it.
  [[nodiscard]] Result<bool> finalize_if_supported();

  template <typename T>
  [[nodiscard]] Status set(cudnnBackendAttributeName_t which, std::span<const T> values) {
    return set(which, attribute_type<T>(), values.size(), static_cast<const void*>(values.data()));
  }
  template <typename T>
  [[nodiscard]] Status set(cudnnBackendAttributeName_t which, const std::vector<T>& values) {
    return set(which, std::span<const T>(values));
  }
  template <typename T>
  [[nodiscard]] Status set(cudnnBackendAttributeName_t which, const T& value) {
    return set(which, std::span<const T>(&value, 1));
  }
  [[nodiscard]] Status set(cudnnBackendAttributeName_t which, const std::vector<const CudnnDescriptor*>& values);
  [[nodiscard]] Status set(cudnnBackendAttributeName_t which, const CudnnDescriptor& value) {
    return set(which, std::vector<const CudnnDescriptor*>{&value});
  }

  template <typename T>
  [[nodiscard]] Result<T> number(cudnnBackendAttributeName_t which) const {
    T value{};
    RUBATO_TRY(read(which, attribute_type<T>(), 1, &value));
    return value;
  }
  // As many as there are, up to `most`.
  template <typename T>
  [[nodiscard]] Result<std::vector<T>> numbers(cudnnBackendAttributeName_t which, std::size_t most) const {
    std::vector<T> values(most);
    RUBATO_ASSIGN(const std::size_t count, read(which, attribute_type<T>(), most, values.data()));
    values.resize(count);
    return values;
  }
  // Descriptors of this kind that it has made; copies, which are finalized already.
  [[nodiscard]] Result<std::vector<CudnnDescriptor>> descriptors(cudnnBackendAttributeName_t which,
                                                                 cudnnBackendDescriptorType_t type,
                                                                 const char* name) const;

 private:
  struct Destroy {
    void operator()(cudnnBackendDescriptor_t handle) const { cudnnBackendDestroyDescriptor(handle); }
  };

  [[nodiscard]] Status set(cudnnBackendAttributeName_t which, cudnnBackendAttributeType_t type, std::size_t count,
                           const void* values);
  // How many there are.
  [[nodiscard]] Result<std::size_t> read(cudnnBackendAttributeName_t which, cudnnBackendAttributeType_t type,
                                         std::size_t most, void* values) const;

  std::unique_ptr<void, Destroy> handle_;
  const char* name_ = "";
};

// An attribute and its value.
template <typename T>
struct Attribute {
  cudnnBackendAttributeName_t which;
  const T& value;
};
template <typename T>
Attribute(cudnnBackendAttributeName_t, const T&) -> Attribute<T>;

// Made, set and finalized.
template <typename... T>
Result<CudnnDescriptor> make_descriptor(cudnnBackendDescriptorType_t type, const char* name,
                                        const Attribute<T>&... attributes) {
  RUBATO_ASSIGN(CudnnDescriptor descriptor, CudnnDescriptor::create(type, name));
  Status status;
  const bool set = (... && (status = descriptor.set(attributes.which, attributes.value)).ok());
  if (!set) return status.error();
  RUBATO_TRY(descriptor.finalize());
  return descriptor;
}

}  // namespace rubato::kernels::cuda
