// What one side of a connection has lent to the other: payloads that lie in memory both see, and that the other
// reads where they lie. The lender keeps each one until the borrower has said that it is done; so bytes that
// somebody reads never change.
//
// The table is in shared memory, a word for each loan. The lender holds the payloads and the list of free words; the
// borrower sets a word, from whatever thread dropped the payload, and the lender finds it when it next looks.
//
// Thread-safety: Loans belongs to the lender's thread. give_back() from any thread of the borrower.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ring.h"

namespace rubato::transport {

using LoanWord = std::atomic<std::uint32_t>;  // 0 lent or free, 1 given back

class Loans {
 public:
  explicit Loans(std::span<LoanWord> words) : words_(words), payloads_(words.size()) {
    for (std::size_t i = words.size(); i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
  }

  // Takes the payload. Nothing, if everything is lent: then it is left where it is.
  [[nodiscard]] std::optional<std::uint32_t> lend(Payload&& payload) {
    if (free_.empty()) search();
    if (free_.empty()) return std::nullopt;
    const std::uint32_t loan = free_.back();
    free_.pop_back();
    words_[loan].store(0, std::memory_order_relaxed);  // published with the record that names it
    payloads_[loan] = std::move(payload);
    lent_.push_back(loan);
    return loan;
  }
  // The payload of the loan made last: nobody was told.
  [[nodiscard]] Payload take_back(std::uint32_t loan) {
    lent_.pop_back();
    free_.push_back(loan);
    return std::exchange(payloads_[loan], {});
  }
  // Drops the oldest that were given back: loans mostly come back in the order in which they went. Each look may take
  // as long as a frame does, since the other side has just written there.
  void collect() {
    while (!lent_.empty() && was_given_back(lent_.front())) std::ignore = lent_.pop_front();
  }
  // Behind one that is kept for long, a few others each time.
  void search() {
    collect();
    for (std::size_t looks = std::min(lent_.size(), kLooks); looks-- > 0;) {
      const std::uint32_t loan = lent_.pop_front();
      if (!was_given_back(loan)) lent_.push_back(loan);
    }
  }
  [[nodiscard]] std::size_t outstanding() const { return lent_.size(); }

 private:
  static constexpr std::size_t kLooks = 16;

  bool was_given_back(std::uint32_t loan) {
    if (words_[loan].load(std::memory_order_acquire) == 0) return false;
    payloads_[loan] = {};
    free_.push_back(loan);
    return true;
  }

  std::span<LoanWord> words_;
  std::vector<Payload> payloads_;  // by loan
  std::vector<std::uint32_t> free_;
  Ring<std::uint32_t> lent_;  // the oldest first
};

// What the reader has read happens before what the lender writes there next.
inline void give_back(LoanWord& word) { word.store(1, std::memory_order_release); }

}  // namespace rubato::transport
