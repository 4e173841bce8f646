#include <cmath>
#include <cstddef>
#include <limits>

#include "kernels/cpu/cross_entropy.h"
#include "kernels/cpu/lanes.h"

namespace rubato::kernels {

double wide_cross_entropy(std::span<const float> scores, std::int32_t label, double smoothing, float* gradient) {
  const float* const s = scores.data();
  const auto count = static_cast<std::int64_t>(scores.size());
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  Lanes most = Lanes{} + kLeast;
  over_lanes(count, [&](std::int64_t i, auto part) { most = max_of(most, keep(read(s + i, part), part, kLeast)); });
  const float greatest = max_of(most);

  Lanes sums{}, belows{};
  over_lanes(count, [&](std::int64_t i, auto part) {
    const Lanes below = read(s + i, part) - greatest;
    const Lanes e = exp_of(below);
    if (gradient != nullptr) write(gradient + i, e, part);
    sums += keep(e, part);
    belows += keep(below, part);
  });
  const float sum = sum_of(sums), each = static_cast<float>(smoothing) / static_cast<float>(count);
  const auto target = static_cast<std::size_t>(label);
  if (gradient != nullptr) {
    const float share = 1.0f / sum;
    over_lanes(count,
               [&](std::int64_t i, auto part) { write(gradient + i, read(gradient + i, part) * share - each, part); });
    gradient[target] -= static_cast<float>(1.0 - smoothing);
  }
  const double loss =
      std::log(static_cast<double>(sum)) - (1.0 - smoothing) * static_cast<double>(s[target] - greatest);
  return smoothing == 0.0 ? loss : loss - static_cast<double>(each) * static_cast<double>(sum_of(belows));
}

}  // namespace rubato::kernels
