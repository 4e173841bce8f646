#include "kernels/update_device.h"

namespace rubato::kernels {

std::size_t device_bytes(const SliceShape& shape, std::size_t count) {
  return (count + 1) * (1 + shape.state_planes()) * device_plane(shape.elements) * sizeof(float);
}

std::size_t update_bytes(std::size_t elements_max) { return kSumDepth * device_plane(elements_max) * sizeof(float); }

}  // namespace rubato::kernels
