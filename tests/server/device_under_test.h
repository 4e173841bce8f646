// What computes the updates of shards that are tested: the CPU; or, where tests are compiled for one, a device.
#pragma once

#include <memory>

#include "kernels/update_device.h"

namespace rubato::server {

inline std::unique_ptr<kernels::UpdateDevice> device_under_test() {
#ifdef RUBATO_SHARDS_ON
  return kernels::open_update_device(RUBATO_SHARDS_ON).value();
#else
  return nullptr;
#endif
}

// So much longer than on the CPU an update may take.
#ifdef RUBATO_SHARDS_ON
inline constexpr int kSlower = 4;
#else
inline constexpr int kSlower = 1;
#endif

}  // namespace rubato::server
