// What a sleeping reader waits on, and a writer in another process rings: an eventfd.
//
// Thread-safety: ring() from any thread and process; quiet() on the sleeper's thread.
#pragma once

#include "transport/shm/shared_memory.h"

namespace rubato::transport {

class Doorbell {
 public:
  Doorbell() = default;
  // One that another process made. Errors: kMalformed, if it is no eventfd: to ring something else might end or hold up
  // this process.
  [[nodiscard]] static Result<Doorbell> of_another(Descriptor descriptor);
  // Errors: kInternal, out of descriptors.
  [[nodiscard]] static Result<Doorbell> create();

  void ring() const;
  // Takes back what was rung so far.
  void quiet() const;
  [[nodiscard]] const Descriptor& descriptor() const { return descriptor_; }

 private:
  explicit Doorbell(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  Descriptor descriptor_;
};

}  // namespace rubato::transport
