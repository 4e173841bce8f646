// The order in which an epoch visits the samples.
//
// Fisher and Yates's shuffle (in Durstenfeld's form) of 0, 1, ..., size - 1, with numbers from the
// Philox stream of (seed, "permutation", epoch): a pure function, so a scheduler that deals positions
// and a worker that reads samples need not tell each other the order, and any epoch can be had without
// those before it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace rubato::data {

[[nodiscard]] std::vector<std::uint64_t> permutation(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size);

// Permutations of the epochs asked for last; a reader moves between the epoch that ends and the next.
//
// Thread-safety: belongs to one thread.
class EpochOrder {
 public:
  enum class Kind : std::uint8_t { kShuffled, kInOrder };  // evaluation reads in order

  EpochOrder(Kind kind, std::uint64_t seed, std::uint64_t size) : kind_(kind), seed_(seed), size_(size) {}

  // Sample ids by position. Valid until two other epochs have been asked for.
  [[nodiscard]] std::span<const std::uint64_t> of(std::uint64_t epoch);

 private:
  struct Entry {
    std::uint64_t epoch = 0, last_use = 0;
    std::vector<std::uint64_t> ids;
  };

  const Kind kind_;
  const std::uint64_t seed_, size_;
  std::uint64_t uses_ = 0;
  std::array<Entry, 3> entries_;
};

}  // namespace rubato::data
