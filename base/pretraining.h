// Which epochs of a deep belief network train its restricted Boltzmann machines, one after the other, and which all of
// it with labels: a function of the number of the epoch, so that everybody agrees without being told.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/job.h"

namespace rubato {

// The first so many epochs; 0 where the model has no machines.
[[nodiscard]] inline std::uint64_t pretraining_epochs(const ModelConfig& model) {
  return model.name == "dbn" ? model.hidden.size() * static_cast<std::uint64_t>(model.pretrain_epochs) : 0;
}

// The machine that an epoch trains, counted from 0 at the input; nothing where it trains the whole network.
[[nodiscard]] inline std::optional<std::size_t> machine_of(const ModelConfig& model, std::uint64_t epoch) {
  if (epoch >= pretraining_epochs(model)) return std::nullopt;
  return static_cast<std::size_t>(epoch / static_cast<std::uint64_t>(model.pretrain_epochs));
}

}  // namespace rubato
