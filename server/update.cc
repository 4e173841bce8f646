#include "server/update.h"

#include <algorithm>

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

Status check_given(bool pretrained, const protocol::Manifest& manifest, std::span<const float> given) {
  if (!pretrained) return {};
  std::size_t elements = 0;
  for (const ParameterSpec& parameter : manifest) elements += static_cast<std::size_t>(parameter.elements());
  if (given.size() == elements) return {};
  return Error{Cause::kData, fmt::format("model.pretrained: {} initial weights were given, and the model has {}",
                                         given.size(), elements)};
}

void initial_weights(const protocol::SliceSpec& slice, const protocol::Manifest& manifest, const FirstValues& first,
                     std::span<float> weights) {
  std::size_t at = 0;
  for (const protocol::Piece& piece : slice.pieces) {
    const std::span<float> out = weights.subspan(at, piece.count);
    at += piece.count;
    if (first.given.empty()) {
      kernels::initialize(manifest[piece.parameter], first.seed, static_cast<std::int64_t>(piece.first), out);
      continue;
    }
    std::size_t begin = piece.first;  // of the piece, among all
    for (std::size_t before = 0; before < piece.parameter; ++before)
      begin += static_cast<std::size_t>(manifest[before].elements());
    std::ranges::copy(first.given.subspan(begin, piece.count), out.begin());
  }
}

namespace {

// Contributions added up, each with its factor and compensated, a block at a time, and the rule applied to each block
// while its sum is in the cache.
bool apply_parts(const kernels::RuleConfig& rule, const kernels::UpdateScalars& scalars, const Update& update,
                 double divisor, const kernels::ConstSlotView& current, const kernels::SlotView& next,
                 std::size_t traffic) {
  alignas(64) float block[kernels::cpu::kBlock];
  const bool alone = update.contributions.size() == 1;
  for (std::size_t first = 0; first < current.weights.size(); first += kernels::cpu::kBlock) {
    const std::size_t count = std::min(kernels::cpu::kBlock, current.weights.size() - first);
    const kernels::ConstSlotView from = current.part(first, count);
    const kernels::SlotView to = next.part(first, count);
    const std::span<float> sum(block, count);
    std::span<const float> mean_square = from.mean_square;
    for (const Contribution& part : update.contributions) {
      RUBATO_CHECK(part.terms.size() == 1, "{} terms", part.terms.size());
      const double share = rule.outer() ? static_cast<double>(part.divisor) / divisor : rule.age_factor(part.age);
      kernels::cpu::add_part(
          rule.compensation,
          {part.terms.front().values.subspan(first, count), part.samples, alone ? 1.0 : share, from.weights,
           part.read.empty() ? part.read : part.read.subspan(first, count), mean_square, to.mean_square},
          sum, &part == update.contributions.data());
      mean_square = to.mean_square;
    }
    if (!kernels::cpu::apply_rule(rule, scalars, from, sum, to, traffic)) return false;
  }
  return true;
}

}  // namespace

bool apply_update(const kernels::RuleConfig& job_rule, const protocol::SliceSpec& slice,
                  const protocol::Manifest& manifest, const Update& update, const kernels::ConstSlotView& current,
                  const kernels::SlotView& next, std::size_t traffic) {
  const ParameterSpec& spec = manifest[slice.pieces.front().parameter];
  const bool running_mean = spec.average > 0.0f;
  const kernels::RuleConfig rule = kernels::rule_for(job_rule, spec);
  // Of a running mean every sample counts alike.
  const auto divisor_of = [&](const Contribution& part) {
    return static_cast<double>(running_mean ? part.samples : part.divisor);
  };
  double divisor = 0.0, weight = 0.0;
  for (const Contribution& part : update.contributions) {
    divisor += divisor_of(part);
    weight += rule.age_factor(part.age) * divisor_of(part);
  }
  // One gradient needs no weight: the factor of the rate says all of its age.
  const bool alone = update.contributions.size() == 1;
  const kernels::UpdateScalars scalars = kernels::update_scalars(rule, spec, update.rate,
                                                                 1.0 / (rule.outer() ? 1.0
                                                                        : alone      ? divisor
                                                                                     : weight),
                                                                 update.version, weight / divisor);
  if (alone && !rule.compensates())
    return kernels::cpu::apply_rule_to_sum(rule, scalars, current, update.contributions.front().terms, next, traffic);
  return apply_parts(rule, scalars, update, divisor, current, next, traffic);
}

}  // namespace rubato::server
