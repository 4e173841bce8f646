// A restricted Boltzmann machine with binary units (Smolensky 1986; Hinton, "A practical guide to training restricted
// Boltzmann machines", UTML TR 2010-003, whose equations these are): of visible units v and hidden units h
//
//   E(v, h) = - sum_i a_i v_i - sum_j b_j h_j - sum_ij v_i h_j w_ij          (1)
//   p(h_j = 1 | v) = sigmoid(b_j + sum_i v_i w_ij)                           (7)
//   p(v_i = 1 | h) = sigmoid(a_i + sum_j h_j w_ij)                           (8)
//
// and the gradient of -log p(v), by each weight <v_i h_j> of the model less that of the data (5), is estimated by
// contrastive divergence CD-k (Hinton, Neural Computation 14, 2002; equation 9 for k = 1): the model's part is taken
// after k steps of Gibbs sampling that begin at the data. Persistent (PCD; Tieleman, ICML 2008), the chains begin where
// they ended at the update before.
//
// Numbers of a visible unit between 0 and 1 count as probabilities that it is on. States on the way are drawn; of the
// last hidden units the probabilities are taken, which have the same mean and less noise, and so of the data's.
//
// Which bit is drawn is a pure function of (seed, machine, epoch, sample id, step, side, unit): whoever computes a
// sample draws the same. Sums over samples are in their order.
//
// Thread-safety: one owner, with its device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/sample_keys.h"

namespace rubato::kernels {

struct RbmDesc {
  std::int64_t visible = 0, hidden = 0;
  std::int64_t samples_max = 0;  // at a time
  std::int64_t steps = 1;        // k
  std::uint64_t seed = 0;
  std::uint64_t machine = 0;
};

// In host memory; valid until the call returns.
struct RbmWeights {
  std::span<const float> weights, hidden_bias, visible_bias;  // (hidden, visible), (hidden), (visible)
};
struct RbmGradient {
  std::span<float> weights, hidden_bias, visible_bias;
};

class Rbm {
 public:
  virtual ~Rbm() = default;

  // p(h = 1 | v) of each sample's v. As many samples as `visible` has rows.
  virtual Status hidden(const RbmWeights& at, std::span<const float> visible, std::span<float> hidden) = 0;
  // The sum over the samples of the mean over the visible units of (v - v')^2, where v' = p(v = 1 | p(h = 1 | v)).
  virtual Result<double> reconstruction_error(const RbmWeights& at, std::span<const float> visible) = 0;
  // Overwrites `gradient` with the estimate, summed over the samples. `chains`: null; or visible states that go on, a
  // row each. A sample for which there is none begins one.
  virtual Status gradient(const RbmWeights& at, const SampleKeys& keys, std::span<const float> visible,
                          std::vector<float>* chains, const RbmGradient& gradient) = 0;
};

}  // namespace rubato::kernels
