#include "server/update.h"

#include <utility>
#include <vector>

#include "kernels/cpu/apply_rule.h"
#include "kernels/initialize.h"

namespace rubato::server {

kernels::RuleConfig rule_of(const Job& job) {
  kernels::RuleConfig rule = kernels::server_rule(job);
  if (parse_mode(job.consistency.mode).value().has_ages()) return rule;
  rule.age_scaling = false;
  rule.compensation = {};
  return rule;
}

void initial_weights(const protocol::SliceSpec& slice, const protocol::Manifest& manifest, std::uint64_t seed,
                     std::span<float> weights) {
  std::size_t at = 0;
  for (const protocol::Piece& piece : slice.pieces) {
    kernels::initialize(manifest[piece.parameter], seed, static_cast<std::int64_t>(piece.first),
                        weights.subspan(at, piece.count));
    at += piece.count;
  }
}

bool apply_update(const kernels::RuleConfig& rule, const protocol::SliceSpec& slice, const protocol::Manifest& manifest,
                  const Update& update, const kernels::ConstSlotView& current, const kernels::SlotView& next,
                  SumBuffers& buffers) {
  double divisor = 0.0, weight = 0.0;
  for (const Contribution& part : update.contributions) {
    divisor += static_cast<double>(part.divisor);
    weight += rule.age_factor(part.age) * static_cast<double>(part.divisor);
  }
  const auto apply = [&](std::span<const float> gradient, double over) {
    const kernels::UpdateScalars scalars = kernels::update_scalars(
        rule, manifest[slice.pieces.front().parameter], update.rate, 1.0 / over, update.version, weight / divisor);
    kernels::cpu::apply_rule(rule, scalars, current, gradient, next);
  };
  // One gradient needs no weight: the factor of the rate says all of its age.
  const bool alone = update.contributions.size() == 1;
  if (alone && !rule.compensates()) {
    apply(update.contributions.front().gradient, rule.outer() ? 1.0 : divisor);
    return true;
  }

  std::vector<float> sum = buffers.take(current.weights.size());
  std::span<const float> mean_square = current.mean_square;
  for (const Contribution& part : update.contributions) {
    const double share = rule.outer() ? static_cast<double>(part.divisor) / divisor : rule.age_factor(part.age);
    const double factor = alone ? 1.0 : share;
    kernels::cpu::add_part(
        rule.compensation,
        {part.gradient, part.samples, factor, current.weights, part.read, mean_square, next.mean_square}, sum,
        &part == update.contributions.data());
    mean_square = next.mean_square;
  }
  const bool finite = kernels::cpu::all_finite(sum);
  if (finite) apply(sum, rule.outer() ? 1.0 : alone ? divisor : weight);
  buffers.give_back(std::move(sum));
  return finite;
}

}  // namespace rubato::server
