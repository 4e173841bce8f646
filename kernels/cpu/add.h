// Sums of activations, and of their gradients, over all threads of a device.
//
// Thread-safety: pure apart from what it is given to write.
#pragma once

#include <cstddef>

namespace rubato::kernels {

// to[i] += from[i].
void add_blocks(int threads, float* to, const float* from, std::size_t count);

}  // namespace rubato::kernels
