#include "worker/slice_layout.h"

#include "base/check.h"

namespace rubato::worker {

SliceLayout::SliceLayout(const protocol::Manifest& manifest, const protocol::RoutingTable& routing)
    : parameters_(manifest.size()), slices_of_(manifest.size()) {
  constexpr std::size_t kAlign = 16;
  for (std::size_t id = 0; id < routing.slices.size(); ++id) {
    floats_ = (floats_ + kAlign - 1) / kAlign * kAlign;
    const Range slice{floats_, routing.slices[id].elements()};
    slices_.push_back(slice);
    pieces_.push_back(routing.slices[id].pieces.size());
    frozen_.push_back(manifest[routing.slices[id].pieces.front().parameter].frozen);  // as all pieces: same_rule
    for (const protocol::Piece& piece : routing.slices[id].pieces) {
      Range& parameter = parameters_[piece.parameter];
      if (piece.first == 0) parameter = {floats_, static_cast<std::size_t>(manifest[piece.parameter].elements())};
      RUBATO_CHECK(parameter.first + piece.first == floats_, "{} is not contiguous", manifest[piece.parameter].name);
      slices_of_[piece.parameter].push_back(static_cast<SliceId>(id));
      floats_ += piece.count;
    }
  }
  for (std::size_t p = 0; p < manifest.size(); ++p)
    if (!manifest[p].frozen && manifest[p].average == 0.0f) trained_.push_back(parameters_[p]);
}

}  // namespace rubato::worker
