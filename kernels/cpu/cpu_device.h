// The CPU as a device: oneDNN for dense, convolution and activations, own loops for the rest.
//
// The number of threads is fixed when the device is opened: oneDNN cuts the work of a primitive when
// the primitive is made, and results are bit-equal only at equal cuts.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/plan_book.h"

namespace rubato::kernels {

// `plan`, `measured`: as kernels/planned_device.h has them; null: neither.
[[nodiscard]] Result<std::unique_ptr<Device>> open_cpu_device(const DeviceConfig& config,
                                                              std::shared_ptr<const PlanBook> plan = nullptr,
                                                              PlanBook* measured = nullptr);

}  // namespace rubato::kernels
