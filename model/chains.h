// The persistent chains of a worker (model/dbn.h): what a model keeps from step to step. Of each leaf of a batch those
// of the machine that is trained; those of the machine before are dropped.
//
// Who takes over a leaf of a worker that died has no chains for it, and begins them at the samples at hand.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace rubato::model {

struct Chains {
  std::size_t machine = 0;
  std::map<std::uint64_t, std::vector<float>> of_leaf;  // visible states, a row for each chain

  std::vector<float>& of(std::size_t trained, std::uint64_t leaf) {
    if (trained != machine) of_leaf.clear();
    machine = trained;
    return of_leaf[leaf];
  }
};

}  // namespace rubato::model
