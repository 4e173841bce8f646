// Devices that take the ways of a plan (kernels/plan_book.h), or write one. In target rubato_devices.
//
// Thread-safety: as open_device's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/plan_book.h"

namespace rubato::kernels {

// Where the book has an entry for an operation, it decides; elsewhere the device's rules do. Planning fails with
// kDevice where the book names a way that this device does not have.
[[nodiscard]] Result<std::unique_ptr<Device>> open_planned_device(const DeviceConfig& config,
                                                                  std::shared_ptr<const PlanBook> plan);

// Whatever it plans it times first, in each way that it has, and notes in the book: what was in it is not timed again.
// It takes a while, and as much memory as the operation's tensors for each way. With `only_plans` nothing is timed:
// then the book has what there is to choose, and no times. The book must outlive it.
[[nodiscard]] Result<std::unique_ptr<Device>> open_measuring_device(const DeviceConfig& config, PlanBook& book);

}  // namespace rubato::kernels
