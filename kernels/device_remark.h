// What a job's device comes to on this machine, for people, before the job starts.
//
// Thread-safety: a pure function but for what it opens and closes.
#pragma once

#include <string>

#include "base/result.h"
#include "kernels/backend.h"

namespace rubato::kernels {

// Of "auto" which device it takes, a GPU where one can be used and else the CPU, and why; of one that is asked for by
// its name, nothing. Errors: as of open_device. In kernels/open_device.cc.
[[nodiscard]] Result<std::string> device_remark(const DeviceConfig& config);

}  // namespace rubato::kernels
