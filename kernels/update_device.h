// A device that computes updates of slices whose newest version lies in its memory, beside the one on the host.
//
// Whoever keeps slices (server/slice.h) keeps each version on the host, whole, as it would without a device: readers,
// snapshots and whoever comes after the process find it there. A device holds a second copy of the newest one, so that
// an update takes the gradient there and brings the next version back, and nothing else. The bits are those of
// kernels/cpu/apply_rule.h, whichever device it is: both launch the functors of kernels/update_rule.h.
//
// Thread-safety: a device and its slices belong to one thread at a time; a device must outlive what it made.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/rule_config.h"
#include "kernels/sum_term.h"

namespace rubato::kernels {

// What a version of a slice is made of.
struct SliceShape {
  std::size_t elements = 0;
  std::size_t planes = 0;  // of the rule's state
  bool mean_square = false, average = false;
  // All but the weights.
  [[nodiscard]] std::size_t state_planes() const { return planes + (mean_square ? 1 : 0) + (average ? 1 : 0); }
};
// On a device planes lie one after the other, the weights first, each so many floats from the next: a whole number of
// what a GPU reads at once.
[[nodiscard]] constexpr std::size_t device_plane(std::size_t elements) { return (elements + 63) / 64 * 64; }

// One update, of host memory. Its gradient is the sum that `terms` describe; or, where there are none, of what `parts`
// bring, in their order: of each of them gradient, samples, factor and `read` are given.
struct SliceUpdate {
  RuleConfig rule;
  UpdateScalars scalars;
  std::span<const SumTerm> terms;
  std::span<const GradientPart> parts;
};

class DeviceSlice {
 public:
  virtual ~DeviceSlice() = default;

  // From now on this is its newest version, in host memory.
  [[nodiscard]] virtual Status load(const ConstSlotView& version) = 0;

  // Makes the next version, and writes what the rule changes of it into `next`, in host memory; when this returns it is
  // there. False: the gradient was not finite, all of it. Then the version is what it was, and what is in `next` is of
  // no use; as it is after an error, kDevice.
  [[nodiscard]] virtual Result<bool> update(const SliceUpdate& update, const SlotView& next) = 0;
};

class UpdateDevice {
 public:
  virtual ~UpdateDevice() = default;

  // For people: "cuda:0, NVIDIA H100 80GB HBM3, CUDA 13.0".
  [[nodiscard]] virtual std::string description() const = 0;

  // So many slices, with what an update needs beside them: all that it will ever take of the device. They have no
  // version yet. Errors: kDevice, where the memory is not there.
  [[nodiscard]] virtual Result<std::vector<std::unique_ptr<DeviceSlice>>> make_slices(const SliceShape& shape,
                                                                                      std::size_t count) = 0;
};

// Of a job's server.device: "cuda" or "cuda:N"; of "cpu" null, since updates are computed where slices lie. Errors:
// kDevice where it is not there, kUsage for another name. In kernels/open_update_device.cc (target
// rubato_update_devices).
[[nodiscard]] Result<std::unique_ptr<UpdateDevice>> open_update_device(const std::string& name);

// What make_slices() takes of a device's memory for so many, beside what one update needs. / What that is, by the
// longest slice.
[[nodiscard]] std::size_t device_bytes(const SliceShape& shape, std::size_t count);
[[nodiscard]] std::size_t update_bytes(std::size_t elements_max);

}  // namespace rubato::kernels
