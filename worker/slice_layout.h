// Where slices and parameters lie in one flat array of floats: slices end to end in the order of their
// ids, each at a multiple of 16 floats. Every parameter is contiguous, also one that is cut into several
// slices (cuts fall on multiples of 16), and so is every slice: an arena laid out so can be written by
// the model parameter by parameter and sent slice by slice without a copy.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "protocol/manifest.h"

namespace rubato::worker {

class SliceLayout {
 public:
  SliceLayout(const protocol::Manifest& manifest, const protocol::RoutingTable& routing);

  struct Range {
    std::size_t first = 0, count = 0;  // floats
  };
  [[nodiscard]] Range slice(std::size_t slice) const { return slices_[slice]; }
  [[nodiscard]] Range parameter(std::size_t parameter) const { return parameters_[parameter]; }
  // Which slices a parameter has pieces in.
  [[nodiscard]] const std::vector<SliceId>& slices_of(std::size_t parameter) const { return slices_of_[parameter]; }
  // Whether no update changes it: all of a slice is frozen, or nothing.
  [[nodiscard]] bool frozen(std::size_t slice) const { return frozen_[slice]; }
  // The parameters that have a gradient: none that is frozen, and no running mean.
  [[nodiscard]] const std::vector<Range>& trained() const { return trained_; }
  // How many parameters a slice has pieces of.
  [[nodiscard]] std::size_t pieces(std::size_t slice) const { return pieces_[slice]; }
  [[nodiscard]] std::size_t slices() const { return slices_.size(); }
  [[nodiscard]] std::size_t parameters() const { return parameters_.size(); }
  [[nodiscard]] std::size_t floats() const { return floats_; }

 private:
  std::vector<Range> slices_, parameters_;
  std::vector<std::vector<SliceId>> slices_of_;
  std::vector<std::size_t> pieces_;
  std::vector<bool> frozen_;
  std::vector<Range> trained_;
  std::size_t floats_ = 0;
};

}  // namespace rubato::worker
