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

}  // namespace rubato::server
