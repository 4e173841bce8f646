#include "kernels/rule_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"
#include "base/job.h"

namespace rubato::kernels {
namespace {

constexpr RuleKind kRuleKinds[] = {RuleKind::kSgd, RuleKind::kMomentum, RuleKind::kNesterov, RuleKind::kAdam,
                                   RuleKind::kAdamW};

// What the paper's experiments on CIFAR-10 had (kernels/gradient_part.h).
constexpr double kLambdaConstant = 0.04, kLambdaAdaptive = 2.0;

Error out_of_range(std::string_view key, double value, std::string_view allowed) {
  return {Cause::kUsage, fmt::format("optimizer.{} = {} is out of range: {}", key, value, allowed)};
}

// NaN compares false with everything, so it is refused by each of these.
bool is_fraction(double value) { return value >= 0.0 && value < 1.0; }
bool is_amount(double value) { return value >= 0.0 && std::isfinite(value); }

Error unknown(std::string_view key, std::string_view value, std::string_view allowed) {
  return {Cause::kUsage, fmt::format("optimizer.{} = \"{}\" is unknown: {}", key, value, allowed)};
}

Result<Compensation> make_compensation(const CompensationConfig& config) {
  Compensation compensation{.lambda = config.lambda, .decay = config.decay};
  if (config.name == "constant") {
    compensation.kind = CompensationKind::kConstant;
  } else if (config.name == "adaptive") {
    compensation.kind = CompensationKind::kAdaptive;
  } else if (config.name != "none") {
    return unknown("compensation.name", config.name, "none, constant or adaptive");
  }
  if (!is_amount(config.lambda)) return out_of_range("compensation.lambda", config.lambda, "at least 0");
  if (!is_fraction(config.decay)) return out_of_range("compensation.decay", config.decay, "at least 0, below 1");
  if (config.lambda == 0.0) compensation.lambda = config.name == "adaptive" ? kLambdaAdaptive : kLambdaConstant;
  return compensation;
}

RuleConfig outer_rule(const Job& job) {
  const OuterConfig& outer = job.optimizer.outer;
  if (outer.name == "average") return {.kind = RuleKind::kSgd, .own_rate = 1.0};
  return {.kind = outer.name == "nesterov" ? RuleKind::kNesterov : RuleKind::kDelayedNesterov,
          .momentum = outer.momentum,
          .own_rate = outer.rate,
          .delay = outer_delay(job),
          .spread = outer.spread};
}

void check_plane(std::span<const float> current, std::span<const float> next, std::size_t count) {
  RUBATO_CHECK(current.size() == count && next.size() == count, "{} gradients, {} elements become {}", count,
               current.size(), next.size());
  const auto a = reinterpret_cast<std::uintptr_t>(current.data()), b = reinterpret_cast<std::uintptr_t>(next.data());
  RUBATO_CHECK(a == b || a + current.size_bytes() <= b || b + next.size_bytes() <= a, "partly overlapping");
}

}  // namespace

std::string_view rule_name(RuleKind kind) {
  switch (kind) {
    case RuleKind::kSgd:
      return "sgd";
    case RuleKind::kMomentum:
      return "momentum";
    case RuleKind::kNesterov:
      return "nesterov";
    case RuleKind::kAdam:
      return "adam";
    case RuleKind::kAdamW:
      return "adamw";
    case RuleKind::kDelayedNesterov:
      return "delayed_nesterov";
  }
  RUBATO_CHECK(false, "rule kind {}", static_cast<int>(kind));
  return {};
}

std::size_t state_planes(RuleKind kind) {
  switch (kind) {
    case RuleKind::kSgd:
      return 0;
    case RuleKind::kMomentum:
    case RuleKind::kNesterov:
      return 1;
    case RuleKind::kAdam:
    case RuleKind::kAdamW:
    case RuleKind::kDelayedNesterov:
      return 2;
  }
  RUBATO_CHECK(false, "rule kind {}", static_cast<int>(kind));
  return 0;
}

Result<RuleConfig> make_rule(const OptimizerConfig& optimizer) {
  RuleConfig rule{.momentum = optimizer.momentum,
                  .beta1 = optimizer.beta1,
                  .beta2 = optimizer.beta2,
                  .epsilon = optimizer.epsilon,
                  .weight_decay = optimizer.weight_decay,
                  .clip_value = optimizer.clip_value};
  bool known = false;
  for (RuleKind kind : kRuleKinds) {
    if (rule_name(kind) != optimizer.name) continue;
    rule.kind = kind;
    known = true;
  }
  if (!known) {
    return unknown("name", optimizer.name, "sgd, momentum, nesterov, adam or adamw");
  }
  if (optimizer.age_scaling != "none" && optimizer.age_scaling != "inverse")
    return unknown("age_scaling", optimizer.age_scaling, "none or inverse");
  rule.age_scaling = optimizer.age_scaling == "inverse";
  RUBATO_ASSIGN(rule.compensation, make_compensation(optimizer.compensation));
  if (!is_fraction(rule.momentum)) return out_of_range("momentum", rule.momentum, "at least 0, below 1");
  if (!is_fraction(rule.beta1)) return out_of_range("beta1", rule.beta1, "at least 0, below 1");
  if (!is_fraction(rule.beta2)) return out_of_range("beta2", rule.beta2, "at least 0, below 1");
  // In float32, where Adam adds it: an epsilon that becomes 0 there would divide 0 by 0.
  if (!is_amount(rule.epsilon) || !(static_cast<float>(rule.epsilon) > 0.0f)) {
    return out_of_range("epsilon", rule.epsilon, "above 0, also as a float32");
  }
  if (!is_amount(rule.weight_decay)) return out_of_range("weight_decay", rule.weight_decay, "at least 0");
  if (!is_amount(rule.clip_value)) return out_of_range("clip_value", rule.clip_value, "at least 0; 0 is off");
  return rule;
}

RuleConfig server_rule(const Job& job) {
  const bool local = parse_mode(job.consistency.mode).value().local();
  RuleConfig rule = local ? outer_rule(job) : make_rule(job.optimizer).value();
  rule.average_decay = job.evaluation.average;
  return rule;
}

RuleConfig rule_for(const RuleConfig& rule, const ParameterSpec& spec) {
  if (spec.average == 0.0f) return rule;
  RuleConfig mean{.kind = RuleKind::kSgd, .average_decay = rule.average_decay};
  if (rule.outer()) mean.own_rate = 1.0;
  return mean;
}

double average_share(const RuleConfig& rule, std::uint64_t update_count) {
  if (!rule.keeps_average()) return 0.0;
  const double t = static_cast<double>(update_count);
  return 1.0 - std::min(rule.average_decay, (1.0 + t) / (10.0 + t));
}

UpdateScalars update_scalars(const RuleConfig& rule, const ParameterSpec& spec, double rate, double gradient_scale,
                             std::uint64_t update_count, double age_factor) {
  const double share = average_share(rule, update_count);
  if (rule.outer())
    return {
        .rate = *rule.own_rate, .gradient_scale = gradient_scale, .update_count = update_count, .average_share = share};
  if (spec.average > 0.0f)
    return {.rate = -static_cast<double>(spec.average),
            .gradient_scale = gradient_scale,
            .decay = -1.0,
            .update_count = update_count,
            .average_share = share};
  return {.rate = rate * spec.rate_scale,
          .gradient_scale = gradient_scale,
          .clip_value = rule.clip_value,
          .age_factor = age_factor,
          .decay = spec.decay < 0.0 ? rule.weight_decay : spec.decay,
          .update_count = update_count,
          .average_share = share};
}

void check_update(RuleKind kind, const ConstSlotView& current, std::span<const float> gradient, const SlotView& next) {
  check_plane(current.weights, next.weights, gradient.size());
  for (std::size_t plane = 0; plane < state_planes(kind); ++plane) {
    check_plane(current.state[plane], next.state[plane], gradient.size());
  }
  if (!current.average.empty()) check_plane(current.average, next.average, gradient.size());
}

void check_part(const Compensation& compensation, const GradientPart& part, std::span<float> sum) {
  const std::size_t count = part.gradient.size();
  const bool reads = compensation.kind != CompensationKind::kNone,
             adapts = compensation.kind == CompensationKind::kAdaptive;
  RUBATO_CHECK(sum.size() == count && part.samples > 0, "{} gradients of {} samples for a sum of {}", count,
               part.samples, sum.size());
  RUBATO_CHECK(!reads || (part.weights.size() == count && part.read.size() == count),
               "{} gradients, {} weights now, {} before", count, part.weights.size(), part.read.size());
  if (adapts) check_plane(part.mean_square, part.next_mean_square, count);
}

}  // namespace rubato::kernels
