#include "server/update.h"

#include <algorithm>
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

// What an update comes to under the rule of its slice.
struct Prepared {
  kernels::RuleConfig rule;
  kernels::UpdateScalars scalars;
  double divisor = 0.0;
  bool alone = false;  // one contribution, which needs no weight: the factor of the rate says all of its age

  Prepared(const kernels::RuleConfig& job_rule, const ParameterSpec& spec, const Update& update)
      : rule(kernels::rule_for(job_rule, spec)), alone(update.contributions.size() == 1) {
    // Of a running mean every sample counts alike.
    const bool running_mean = spec.average > 0.0f;
    double weight = 0.0;
    for (const Contribution& part : update.contributions) {
      const auto counts = static_cast<double>(running_mean ? part.samples : part.divisor);
      divisor += counts;
      weight += rule.age_factor(part.age) * counts;
    }
    scalars = kernels::update_scalars(rule, spec, update.rate,
                                      1.0 / (rule.outer() ? 1.0
                                             : alone      ? divisor
                                                          : weight),
                                      update.version, weight / divisor);
  }

  // The gradient is that of the one contribution, as it is.
  [[nodiscard]] bool plain() const { return alone && !rule.compensates(); }
  [[nodiscard]] double factor(const Contribution& part) const {
    if (alone) return 1.0;
    return rule.outer() ? static_cast<double>(part.divisor) / divisor : rule.age_factor(part.age);
  }
};

std::span<const float> gradient_of(const Contribution& part) {
  RUBATO_CHECK(part.terms.size() == 1, "{} terms", part.terms.size());
  return part.terms.front().values;
}

const ParameterSpec& spec_of(const protocol::SliceSpec& slice, const protocol::Manifest& manifest) {
  return manifest[slice.pieces.front().parameter];
}

// Contributions added up, each with its factor and compensated, a block at a time, and the rule applied to each block
// while its sum is in the cache.
bool apply_parts(const Prepared& prepared, const Update& update, const kernels::ConstSlotView& current,
                 const kernels::SlotView& next, std::size_t traffic) {
  alignas(64) float block[kernels::cpu::kBlock];
  for (std::size_t first = 0; first < current.weights.size(); first += kernels::cpu::kBlock) {
    const std::size_t count = std::min(kernels::cpu::kBlock, current.weights.size() - first);
    const kernels::ConstSlotView from = current.part(first, count);
    const kernels::SlotView to = next.part(first, count);
    const std::span<float> sum(block, count);
    std::span<const float> mean_square = from.mean_square;
    for (const Contribution& part : update.contributions) {
      kernels::cpu::add_part(
          prepared.rule.compensation,
          {gradient_of(part).subspan(first, count), part.samples, prepared.factor(part), from.weights,
           part.read.empty() ? part.read : part.read.subspan(first, count), mean_square, to.mean_square},
          sum, &part == update.contributions.data());
      mean_square = to.mean_square;
    }
    if (!kernels::cpu::apply_rule(prepared.rule, prepared.scalars, from, sum, to, traffic)) return false;
  }
  return true;
}

}  // namespace

bool apply_update(const kernels::RuleConfig& job_rule, const protocol::SliceSpec& slice,
                  const protocol::Manifest& manifest, const Update& update, const kernels::ConstSlotView& current,
                  const kernels::SlotView& next, std::size_t traffic) {
  const Prepared prepared(job_rule, spec_of(slice, manifest), update);
  if (!prepared.plain()) return apply_parts(prepared, update, current, next, traffic);
  return kernels::cpu::apply_rule_to_sum(prepared.rule, prepared.scalars, current, update.contributions.front().terms,
                                         next, traffic);
}

Result<bool> apply_update(const kernels::RuleConfig& job_rule, const protocol::SliceSpec& slice,
                          const protocol::Manifest& manifest, const Update& update, kernels::DeviceSlice& current,
                          const kernels::SlotView& next) {
  const Prepared prepared(job_rule, spec_of(slice, manifest), update);
  if (prepared.plain())
    return current.update({prepared.rule, prepared.scalars, update.contributions.front().terms, {}}, next);
  std::vector<kernels::GradientPart> parts;
  parts.reserve(update.contributions.size());
  for (const Contribution& part : update.contributions)
    parts.push_back({.gradient = gradient_of(part),
                     .samples = part.samples,
                     .factor = prepared.factor(part),
                     .weights = {},
                     .read = part.read,
                     .mean_square = {},
                     .next_mean_square = {}});
  return current.update({prepared.rule, prepared.scalars, {}, parts}, next);
}

}  // namespace rubato::server
