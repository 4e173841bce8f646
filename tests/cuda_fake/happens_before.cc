#include "tests/cuda_fake/happens_before.h"

namespace rubato::cuda_fake {

std::optional<Moment> Touched::touch(std::size_t offset, std::size_t bytes, bool writes, Moment now,
                                     const VectorClock& known) {
  std::optional<Moment> unordered;
  const auto look_at = [&](Moment before) {
    if (!(before == now) && !known.knows(before)) unordered = before;
  };
  for (std::size_t i = offset / kWord; i < words_.size() && i * kWord < offset + bytes; ++i) {
    Word& word = words_[i];
    look_at(word.written);
    if (writes) {
      for (const Moment read : word.read) look_at(read);
      word = {now, {}};
      continue;
    }
    // Whoever is before this one need not be known any more: who is behind this one is behind that.
    Moment& place = word.read[0].lane == now.lane || known.knows(word.read[0]) ? word.read[0] : word.read[1];
    if (&place == &word.read[0] || place.lane == now.lane || known.knows(place)) place = now;
  }
  return unordered;
}

}  // namespace rubato::cuda_fake
