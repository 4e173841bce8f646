// How fast updates are applied, against plain loops over the same bytes in the same run.
//
// First every rule over a whole model, in place and out of place into the slot that the slice before has left, against
// a loop of the kind a = b + c * d that has as many streams of reads and writes (as STREAM's triad) and runs over the
// same slots and gradients, in turns with the rule. Then, for slices of some sizes, the ways to update a slice when a
// gradient may turn out not to be finite (docs/decisions/out-of-place-slots.md).
#include <CLI/CLI.hpp>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "bench/cold_model.h"
#include "bench/rows.h"
#include "kernels/cpu/apply_rule.h"

namespace rubato::bench {
namespace {

using kernels::ConstSlotView;
using kernels::RuleConfig;
using kernels::RuleKind;
using kernels::SlotView;
using Gradients = std::span<const kernels::SumTerm>;
using Update = std::function<void(const ConstSlotView&, Gradients, const SlotView&, std::size_t traffic)>;

struct Options {
  std::size_t mib = 256;
  std::size_t slice_kib = 1024;
  std::size_t rounds = 7;
  std::vector<std::size_t> slices_kib = {64, 256, 1024}, models_mib = {64, 256};
  std::string only, json;
};

// Every plane gets a multiple of the gradients' sum.
template <std::size_t kPlanes, std::size_t kTerms>
void triad(const ConstSlotView& current, Gradients gradients, const SlotView& next, std::size_t /*traffic*/) {
  std::array<const float*, kTerms> terms;
  for (std::size_t term = 0; term < kTerms; ++term) terms[term] = gradients[term].values.data();
  const float *w = current.weights.data(), *s = current.state[0].data(), *t = current.state[1].data();
  float *nw = next.weights.data(), *ns = next.state[0].data(), *nt = next.state[1].data();
  constexpr float kScalar = 1e-3f;
  const std::size_t count = current.weights.size();
#pragma GCC ivdep
  for (std::size_t i = 0; i < count; ++i) {
    float x = terms[0][i];
    for (std::size_t term = 1; term < kTerms; ++term) x += terms[term][i];
    nw[i] = w[i] + kScalar * x;
    if constexpr (kPlanes > 0) ns[i] = s[i] + kScalar * x;
    if constexpr (kPlanes > 1) nt[i] = t[i] + kScalar * x;
  }
}

template <std::size_t kTerms>
Update triad_of(std::size_t planes) {
  return planes == 0 ? triad<0, kTerms> : planes == 1 ? triad<1, kTerms> : triad<2, kTerms>;
}

Update rule_update(RuleKind kind, double average_share = 0.0) {
  RuleConfig rule;
  rule.kind = kind;
  rule.delay = 4;
  kernels::UpdateScalars scalars;
  scalars.rate = 1e-3;
  scalars.update_count = 5;
  scalars.average_share = average_share;
  return [=](const ConstSlotView& current, Gradients gradients, const SlotView& next, std::size_t traffic) {
    std::ignore = kernels::cpu::apply_rule_to_sum(rule, scalars, current, gradients, next, traffic);
  };
}

Update checked_before(RuleKind kind) {
  return [update = rule_update(kind)](const ConstSlotView& current, Gradients gradients, const SlotView& next,
                                      std::size_t traffic) {
    if (kernels::cpu::all_finite(gradients.front().values)) update(current, gradients, next, traffic);
  };
}

void add_to_weights(const ConstSlotView& current, Gradients gradients, const SlotView& next, std::size_t /*traffic*/) {
  kernels::cpu::add_up(std::array<kernels::SumTerm, 2>{{{current.weights}, {gradients.front().values, 1}}},
                       next.weights);
}

struct Way {
  std::string name;
  bool in_place;
  Update update;
};

// GB of gradient a second of each way: medians of rounds in which they take turns, after one to warm up.
std::vector<double> rates(ColdModel& model, const std::vector<Way>& ways, std::size_t rounds) {
  std::vector<std::vector<double>> all(ways.size());
  for (std::size_t round = 0; round <= rounds; ++round) {
    for (std::size_t way = 0; way < ways.size(); ++way) {
      const double took = model.seconds_of(ways[way].in_place, ways[way].update);
      if (round > 0) all[way].push_back(model.gigabytes() / took);
    }
  }
  std::vector<double> medians;
  medians.reserve(all.size());
  for (const std::vector<double>& of_way : all) medians.push_back(median(of_way));
  return medians;
}

bool wanted(const Options& options, const std::string& name) { return name.find(options.only) != std::string::npos; }

void against_triad(const Options& options, const std::string& name, std::size_t planes, std::size_t terms,
                   const Update& update, Rows& rows) {
  if (!wanted(options, "apply/" + name)) return;
  ColdModel model(options.mib * 1024 / options.slice_kib, options.slice_kib * 1024 / sizeof(float), planes, terms);
  const Update limit = terms == 1 ? triad_of<1>(planes) : terms == 2 ? triad_of<2>(planes) : triad_of<4>(planes);
  const std::vector<double> rate =
      rates(model, {{"", true, update}, {"", true, limit}, {"", false, update}, {"", false, limit}}, options.rounds);
  rows.add(fmt::format("apply/{}/in_place", name), rate[0], "GB/s", rate[1]);
  rows.add(fmt::format("apply/{}/out_of_place", name), rate[2], "GB/s", rate[3]);
}

// What a moving average of the weights costs beside a rule: held against the rule alone in the same slots.
void with_average(const Options& options, RuleKind kind, Rows& rows) {
  const std::string name = fmt::format("averaged/{}", rule_name(kind));
  if (!wanted(options, name)) return;
  ColdModel model(options.mib * 1024 / options.slice_kib, options.slice_kib * 1024 / sizeof(float), state_planes(kind),
                  1, true);
  const Update averaged = rule_update(kind, 0.01);
  const Update alone = [update = rule_update(kind)](const ConstSlotView& current, Gradients gradients,
                                                    const SlotView& next, std::size_t traffic) {
    update({current.weights, current.state}, gradients, {next.weights, next.state}, traffic);
  };
  const std::vector<double> rate = rates(
      model, {{"", true, averaged}, {"", true, alone}, {"", false, averaged}, {"", false, alone}}, options.rounds);
  rows.add(name + "/in_place", rate[0], "GB/s", rate[1]);
  rows.add(name + "/out_of_place", rate[2], "GB/s", rate[3]);
}

// Held against the bare rule in place.
void ways_to_update(const Options& options, RuleKind kind, std::size_t model_mib, std::size_t slice_kib, Rows& rows) {
  const std::string name = fmt::format("slots/{}/{}MiB/{}KiB", rule_name(kind), model_mib, slice_kib);
  if (!wanted(options, name)) return;
  ColdModel model(model_mib * 1024 / slice_kib, slice_kib * 1024 / sizeof(float), state_planes(kind), 1);
  const std::vector<Way> ways = {{"in_place", true, rule_update(kind)},
                                 {"in_place_checked_before", true, checked_before(kind)},
                                 {"out_of_place", false, rule_update(kind)},
                                 {"out_of_place_checked_before", false, checked_before(kind)}};
  const std::vector<double> rate = rates(model, ways, options.rounds);
  for (std::size_t way = 1; way < ways.size(); ++way)
    rows.add(fmt::format("{}/{}", name, ways[way].name), rate[way], "GB/s", rate[0]);
}

Status run(const Options& options) {
  Rows rows;
  Rows::print_heading();
  for (const RuleKind kind : {RuleKind::kSgd, RuleKind::kMomentum, RuleKind::kNesterov, RuleKind::kAdam,
                              RuleKind::kAdamW, RuleKind::kDelayedNesterov})
    against_triad(options, std::string(rule_name(kind)), state_planes(kind), 1, rule_update(kind), rows);
  against_triad(options, "sum", 0, 1, add_to_weights, rows);
  for (const RuleKind kind : {RuleKind::kMomentum, RuleKind::kAdam}) {
    against_triad(options, fmt::format("last_of_two/{}", rule_name(kind)), state_planes(kind), 2, rule_update(kind),
                  rows);
    against_triad(options, fmt::format("last_of_four/{}", rule_name(kind)), state_planes(kind), 4, rule_update(kind),
                  rows);
  }
  for (const RuleKind kind : {RuleKind::kSgd, RuleKind::kMomentum, RuleKind::kAdam}) with_average(options, kind, rows);
  for (const RuleKind kind : {RuleKind::kMomentum, RuleKind::kAdam})
    for (const std::size_t model_mib : options.models_mib)
      for (const std::size_t slice_kib : options.slices_kib) ways_to_update(options, kind, model_mib, slice_kib, rows);
  return rows.write(options.json);
}

}  // namespace
}  // namespace rubato::bench

int main(int argc, char** argv) {
  rubato::bench::Options options;
  CLI::App app("GB of gradient a second that one thread applies, beside the limit of plain loops in the same run");
  app.add_option("--mib", options.mib, "gradient, of the rows apply/")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--slice-kib", options.slice_kib, "a slice, of the rows apply/")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--slices-kib", options.slices_kib, "slices, of the rows slots/")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--models-mib", options.models_mib, "models, of the rows slots/")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "of which medians are shown")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--only", options.only, "rows whose name has this in it");
  app.add_option("--json", options.json, "file to write the rows to");
  app.footer(
      "Examples:\n  apply\n  apply --only apply/adam --rounds 15\n"
      "  apply --only slots/momentum --json slots.json");
  CLI11_PARSE(app, argc, argv);
  const rubato::Status status = rubato::bench::run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "apply: {}\n", status.error().message);
  return status.error().exit_code();
}
