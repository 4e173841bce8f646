// What the servers must know of a parameter: they know no model (docs/architecture.md).
//
// A model lists its parameters once, in its own order; that order is the manifest's, the order of
// weights_sha256 and of the weights file. `fields` lists the members for whoever codes them
// (protocol/wire.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rubato {

enum class InitializerKind : std::uint8_t {
  kZeros = 0,
  kOnes = 1,
  kUniform = 2,  // uniform in [-scale, scale)
  kNormal = 3,   // mean 0, standard deviation `scale`
};

// Element i of a parameter is a pure function of (job seed, parameter name, i).
struct Initializer {
  InitializerKind kind = InitializerKind::kZeros;
  float scale = 0.0f;
  friend bool operator==(const Initializer&, const Initializer&) = default;
  template <typename A>
  void fields(A& a) {
    a(kind, scale);
  }
};

// A weight decay below 0: that of the job's optimizer.
inline constexpr double kUsualDecay = -1.0;

struct ParameterSpec {
  std::string name;                 // as in PyTorch's state_dict: "conv1.weight"
  std::vector<std::int64_t> shape;  // canonical layout: dense (out, in), convolution OHWI
  Initializer initializer;
  double rate_scale = 1.0;     // multiplies the learning rate
  double decay = kUsualDecay;  // weight decay
  bool frozen = false;         // no update changes it, and what is pushed for it is empty
  // Above 0: it is not trained but a running mean, say of a batch normalization. What is pushed for a batch is its
  // value there, times the samples; an update moves the mean by this fraction towards it (docs/models.md).
  float average = 0.0f;

  [[nodiscard]] std::int64_t elements() const {
    std::int64_t count = 1;
    for (std::int64_t extent : shape) count *= extent;
    return count;
  }
  friend bool operator==(const ParameterSpec&, const ParameterSpec&) = default;
  template <typename A>
  void fields(A& a) {
    a(name, shape, initializer, rate_scale, decay, frozen, average);
  }
};

// Whether one update may go over pieces of both.
[[nodiscard]] inline bool same_rule(const ParameterSpec& a, const ParameterSpec& b) {
  return a.rate_scale == b.rate_scale && a.decay == b.decay && a.frozen == b.frozen && a.average == b.average;
}

}  // namespace rubato
