// Where the time of a training step goes: a row for each layer, from the spans that its model has drawn
// (model::Model::draw), and how much of the step is inside of no operation.
//
// Thread-safety: pure, but for the device, which plans each layer once more to say what does it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "base/timeline.h"
#include "kernels/backend.h"
#include "model/layers.h"

namespace rubato::bench {

struct ProfiledSteps {
  std::span<const timeline::Span> spans;
  std::int64_t steps = 0, samples = 0;  // samples of each step
  TimeNs wall = 0;                      // of all of them, without the update of the weights
};

// Times in milliseconds a step; GFLOP/s over the layer's three passes, where it is a sum of products: an algorithm that
// saves some of them comes to more than the processor has; and the implementations in the words of whoever
// made them. Errors: kDevice.
[[nodiscard]] Result<std::string> profile_text(const ProfiledSteps& steps, std::span<const model::Layer> layers,
                                               kernels::Device& device);

}  // namespace rubato::bench
