// Which tensors of a network lie in the device's own layout: those that all who write and read them can have so.
//
// Operations that want all of their tensors alike make groups of tensors, which have the layout together or not at all.
// The network's input and its scores are channels-last: they come from elsewhere, and go there.
//
// Thread-safety: pure.
#pragma once

#include <span>
#include <vector>

#include "kernels/backend.h"
#include "model/layers.h"

namespace rubato::model {

// By tensor.
[[nodiscard]] std::vector<kernels::Layout> choose_layouts(const kernels::Device& device, std::span<const Layer> layers);

}  // namespace rubato::model
