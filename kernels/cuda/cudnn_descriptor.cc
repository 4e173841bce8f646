#include "kernels/cuda/cudnn_descriptor.h"

namespace rubato::kernels::cuda {

Result<CudnnDescriptor> CudnnDescriptor::create(cudnnBackendDescriptorType_t type, const char* name) {
  cudnnBackendDescriptor_t handle = nullptr;
  RUBATO_TRY(check(cudnnBackendCreateDescriptor(type, &handle), "cudnnBackendCreateDescriptor of {}", name));
  CudnnDescriptor descriptor;
  descriptor.handle_.reset(handle);
  descriptor.name_ = name;
  return descriptor;
}

Status CudnnDescriptor::finalize() { return check(cudnnBackendFinalize(get()), "cudnnBackendFinalize of {}", name_); }

Result<bool> CudnnDescriptor::finalize_if_supported() {
  const cudnnStatus_t status = cudnnBackendFinalize(get());
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return false;
  RUBATO_TRY(check(status, "cudnnBackendFinalize of {}", name_));
  return true;
}

Status CudnnDescriptor::set(cudnnBackendAttributeName_t which, const std::vector<const CudnnDescriptor*>& values) {
  std::vector<cudnnBackendDescriptor_t> handles;
  for (const CudnnDescriptor* value : values) handles.push_back(value->get());
  return set(which, CUDNN_TYPE_BACKEND_DESCRIPTOR, handles.size(), static_cast<const void*>(handles.data()));
}

Status CudnnDescriptor::set(cudnnBackendAttributeName_t which, cudnnBackendAttributeType_t type, std::size_t count,
                            const void* values) {
  return check(cudnnBackendSetAttribute(get(), which, type, static_cast<std::int64_t>(count), values),
               "cudnnBackendSetAttribute of attribute {} of {}", static_cast<int>(which), name_);
}

Result<std::size_t> CudnnDescriptor::read(cudnnBackendAttributeName_t which, cudnnBackendAttributeType_t type,
                                          std::size_t most, void* values) const {
  std::int64_t count = 0;
  RUBATO_TRY(check(cudnnBackendGetAttribute(get(), which, type, static_cast<std::int64_t>(most), &count, values),
                   "cudnnBackendGetAttribute of attribute {} of {}", static_cast<int>(which), name_));
  return static_cast<std::size_t>(count);
}

Result<std::vector<CudnnDescriptor>> CudnnDescriptor::descriptors(cudnnBackendAttributeName_t which,
                                                                  cudnnBackendDescriptorType_t type,
                                                                  const char* name) const {
  RUBATO_ASSIGN(const std::size_t count, read(which, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr));
  std::vector<CudnnDescriptor> owners;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (std::size_t i = 0; i < count; ++i) {
    RUBATO_ASSIGN(CudnnDescriptor descriptor, create(type, name));
    handles.push_back(descriptor.get());
    owners.push_back(std::move(descriptor));
  }
  RUBATO_ASSIGN(const std::size_t filled,
                read(which, CUDNN_TYPE_BACKEND_DESCRIPTOR, handles.size(), static_cast<void*>(handles.data())));
  if (filled < owners.size()) owners.resize(filled);  // it may have fewer to show than it said
  return owners;
}

}  // namespace rubato::kernels::cuda
