// GPUs as cuDNN describes them to itself (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION), written by hand from NVIDIA's
// data sheets and tuning guides: with them it makes plans where there is no GPU.
#pragma once

#include <ostream>

namespace rubato::kernels::cuda {

struct DescribedGpu {
  const char *name, *json;
  friend std::ostream& operator<<(std::ostream& out, const DescribedGpu& gpu) { return out << gpu.name; }
};

inline constexpr DescribedGpu kDescribedGpus[] = {
    {"sm_80", R"({"deviceName": "NVIDIA A100-SXM4-80GB", "cudaDeviceId": 0, "deviceVer": 800, "driverVer": 13000,
      "multiProcessorCount": 108, "warpSize": 32, "maxGridSize": [2147483647, 65535, 65535],
      "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "maxSharedMemoryPerBlock": 49152,
      "maxSharedMemoryPerBlockOptin": 166912, "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536,
      "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 548540638,
      "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85899345920, "smClockRateKHz": 1410000,
      "memClockRateKHz": 1593000, "l2CacheSize": 41943040})"},
    {"sm_90", R"({"deviceName": "NVIDIA H100 80GB HBM3", "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000,
      "multiProcessorCount": 132, "warpSize": 32, "maxGridSize": [2147483647, 65535, 65535],
      "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "maxSharedMemoryPerBlock": 49152,
      "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536,
      "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 590352606,
      "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85899345920, "smClockRateKHz": 1980000,
      "memClockRateKHz": 2619000, "l2CacheSize": 52428800})"}};

}  // namespace rubato::kernels::cuda
