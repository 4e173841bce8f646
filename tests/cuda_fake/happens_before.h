// What says of two things that streams do which one is first: vector clocks. A stream does what it is given one after
// the other; an event carries what one of them has done over to another, or to the host; and whatever is enqueued is
// behind all that the host has waited for. Two things that nothing orders so, of which at least one writes what the
// other touches, are a fault, whoever happened to be first.
//
// Memory is known word by word, of four bytes: who wrote it last, and who has read it since, of two streams. A third
// reader takes the place of one that is known to be before it, or is forgotten.
//
// Thread-safety: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace rubato::cuda_fake {

inline constexpr std::size_t kLanesMax = 16;  // streams at a time; the first lane is nobody's

// The n-th thing that a lane was given, counted from 1. 0: nothing.
struct Moment {
  std::uint32_t lane : 4 = 0;
  std::uint32_t number : 28 = 0;
  friend bool operator==(const Moment&, const Moment&) = default;
};
[[nodiscard]] inline Moment moment_of(std::size_t lane, std::uint32_t number) {
  return {.lane = static_cast<std::uint32_t>(lane) & 0xFu, .number = number & 0xFFFFFFFu};
}

// Of each lane the last moment that is known to be over.
class VectorClock {
 public:
  [[nodiscard]] bool knows(Moment moment) const { return moment.number <= last_[moment.lane]; }
  void learn(Moment moment) { last_[moment.lane] = std::max<std::uint32_t>(last_[moment.lane], moment.number); }
  void learn(const VectorClock& other) {
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) last_[lane] = std::max(last_[lane], other.last_[lane]);
  }

 private:
  std::array<std::uint32_t, kLanesMax> last_{};
};

// Who touched some memory.
class Touched {
 public:
  explicit Touched(std::size_t bytes) : words_((bytes + kWord - 1) / kWord) {}

  // Bytes that begin `offset` behind the memory's begin are touched at `now` by who knows of what `known` says. Returns
  // what is not known to be before, of those that matter; then it may be either.
  std::optional<Moment> touch(std::size_t offset, std::size_t bytes, bool writes, Moment now, const VectorClock& known);

 private:
  static constexpr std::size_t kWord = 4;
  struct Word {
    Moment written, read[2];
  };
  std::vector<Word> words_;
};

}  // namespace rubato::cuda_fake
