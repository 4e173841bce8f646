// A library that cuDNN takes for NVIDIA's driver, libcuda, of a machine that has none: with it cuDNN compiles kernels
// for a GPU that is described (tests/kernels/described_gpus.h), and its plans are finished. Code is taken, and thrown
// away; there is no GPU, and nothing can be run. The functions are those that cuDNN and its CUDA runtime look for, by
// their names alone: what they are given is not looked at.
#include <cstddef>

namespace {
constexpr int kSuccess = 0, kNoDevice = 100, kNotSupported = 801;
int something = 0;  // handles point here
}  // namespace

#define RUBATO_REFUSED(name) \
  int name() { return kNotSupported; }

extern "C" {

int cuInit() { return kNoDevice; }
int cuDeviceGetCount() { return kNoDevice; }
int cuDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
int cuGetErrorName(int /*error*/, const char** name) {
  *name = "CUDA_ERROR_NO_DEVICE";
  return kSuccess;
}
int cuGetErrorString(int /*error*/, const char** text) {
  *text = "this driver has no GPU";
  return kSuccess;
}

int cuLibraryLoadData(void** library) {
  *library = &something;
  return kSuccess;
}
int cuLibraryGetKernel(void** kernel) {
  *kernel = &something;
  return kSuccess;
}
int cuKernelSetAttribute() { return kSuccess; }
int cuLibraryUnload() { return kSuccess; }

RUBATO_REFUSED(cuCtxGetCurrent)
RUBATO_REFUSED(cuCtxGetDevice)
RUBATO_REFUSED(cuCtxGetLimit)
RUBATO_REFUSED(cuCtxPopCurrent)
RUBATO_REFUSED(cuCtxPushCurrent)
RUBATO_REFUSED(cuDeviceGet)
RUBATO_REFUSED(cuDeviceGetAttribute)
RUBATO_REFUSED(cuDevicePrimaryCtxRelease)
RUBATO_REFUSED(cuDevicePrimaryCtxReset)
RUBATO_REFUSED(cuDevicePrimaryCtxRetain)
RUBATO_REFUSED(cuFuncGetAttribute)
RUBATO_REFUSED(cuFuncSetAttribute)
RUBATO_REFUSED(cuGetExportTable)
RUBATO_REFUSED(cuKernelGetAttribute)
RUBATO_REFUSED(cuLaunchCooperativeKernel)
RUBATO_REFUSED(cuLaunchKernel)
RUBATO_REFUSED(cuLaunchKernelEx)
RUBATO_REFUSED(cuLibraryLoadFromFile)
RUBATO_REFUSED(cuLinkAddData)
RUBATO_REFUSED(cuLinkAddData_v2)
RUBATO_REFUSED(cuLinkAddFile_v2)
RUBATO_REFUSED(cuLinkComplete)
RUBATO_REFUSED(cuLinkCreate)
RUBATO_REFUSED(cuLinkCreate_v2)
RUBATO_REFUSED(cuLinkDestroy)
RUBATO_REFUSED(cuMemcpyDtoH_v2)
RUBATO_REFUSED(cuModuleGetFunction)
RUBATO_REFUSED(cuModuleGetGlobal_v2)
RUBATO_REFUSED(cuModuleLoadData)
RUBATO_REFUSED(cuModuleLoadDataEx)
RUBATO_REFUSED(cuModuleLoadFatBinary)
RUBATO_REFUSED(cuModuleUnload)
RUBATO_REFUSED(cuOccupancyMaxActiveBlocksPerMultiprocessor)
RUBATO_REFUSED(cuOccupancyMaxPotentialClusterSize)
RUBATO_REFUSED(cuStreamGetCtx)
RUBATO_REFUSED(cuStreamSynchronize)
RUBATO_REFUSED(cuTensorMapEncodeTiled)

}  // extern "C"
