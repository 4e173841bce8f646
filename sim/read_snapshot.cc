#include "sim/read_snapshot.h"

#include <algorithm>

namespace rubato::sim {

ReadSnapshot read_snapshot(const worker::EvaluateWeights& read, const protocol::Manifest& manifest,
                           const protocol::RoutingTable& routing) {
  std::vector<std::size_t> first;
  std::size_t elements = 0;
  for (const ParameterSpec& parameter : manifest) {
    first.push_back(elements);
    elements += static_cast<std::size_t>(parameter.elements());
  }
  ReadSnapshot snapshot{read.order.epoch, read.order.clock, read.order.final, std::vector<float>(elements)};
  for (std::size_t slice = 0; slice < read.slices.size(); ++slice) {
    std::span<const float> values = read.slices[slice].floats();
    for (const protocol::Piece& piece : routing.slices[slice].pieces) {
      std::ranges::copy(values.first(piece.count),
                        snapshot.weights.begin() + static_cast<std::ptrdiff_t>(first[piece.parameter] + piece.first));
      values = values.subspan(piece.count);
    }
  }
  return snapshot;
}

}  // namespace rubato::sim
