#include "model/recurrent.h"

#include <fmt/format.h>

namespace rubato::model {

bool is_recurrent(const std::string& name) { return name == "lstm" || name == "gru"; }

void add_recurrent(NetworkBuilder& net, const ModelConfig& config) {
  using Cell = kernels::RecurrentDesc::Cell;
  const Cell cell = config.name == "lstm" ? Cell::kLstm : Cell::kGru;
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const bool last = i + 1 == config.layers;
    net.recurrent(fmt::format("rnn.l{}", i),
                  {.cell = cell, .units = config.width, .bidirectional = config.bidirectional, .last_only = last});
  }
}

}  // namespace rubato::model
