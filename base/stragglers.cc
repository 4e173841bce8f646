#include "base/stragglers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/nearest.h"
#include "base/real_number.h"
#include "base/rng.h"
#include "base/straggler_trace.h"
#include "base/whole_number.h"

namespace rubato {
namespace {

using Kind = Stragglers::Kind;
using Term = Stragglers::Term;

constexpr std::string_view kTrace = "trace:", kJoint = " + ";
constexpr double kFactorMax = 1e6;

struct Model {
  const char* name;
  Kind kind;
  const char* form;
  const char* needs;
};
constexpr std::array<Model, 7> kModels{{
    {"constant", Kind::kConstant, "constant:C", "a factor above 0, as in constant:2"},
    {"uniform", Kind::kUniform, "uniform:A..B", "two factors, 0 <= A <= B, as in uniform:0.5..2"},
    {"lognormal", Kind::kLognormal, "lognormal:SIGMA", "a sigma of 0 to 10, as in lognormal:0.5"},
    {"pareto", Kind::kPareto, "pareto:ALPHA", "an exponent above 0, as in pareto:2.5"},
    {"exponential", Kind::kExponential, "exponential:MEAN", "a mean of 0 or more, as in exponential:0.5"},
    {"persistent", Kind::kPersistent, "persistent:Cx@K",
     "a factor above 0, and how many workers if not one, as in persistent:4x or persistent:4x@2"},
    {"pauses", Kind::kPauses, "pauses:P,S", "a probability and a length in steps, as in pauses:0.01,20"},
}};

Error unknown(std::string_view name) {
  std::string forms = "none";
  std::vector<std::string> names{"none", "trace"};
  for (const Model& model : kModels) {
    forms += fmt::format(", {}", model.form);
    names.emplace_back(model.name);
  }
  return {Cause::kUsage, fmt::format("must be one of {}, trace:FILE, or several joined by \"{}\"{}", forms, kJoint,
                                     did_you_mean(nearest(name, names)))};
}

// "A<separator>B"
std::optional<std::pair<double, double>> two_numbers(std::string_view text, std::string_view separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const auto a = real_number(text.substr(0, at)), b = real_number(text.substr(at + separator.size()));
  if (!a || !b) return std::nullopt;
  return std::pair(*a, *b);
}

// "Cx" or "Cx@K"
std::optional<Term> persistent(std::string_view text) {
  const std::size_t x = text.find('x');
  const auto factor = real_number(text.substr(0, x));
  if (x == std::string_view::npos || !factor || *factor <= 0.0) return std::nullopt;
  std::int64_t workers = 1;
  if (const std::string_view rest = text.substr(x + 1); !rest.empty()) {
    const auto count = rest.front() == '@' ? whole_number(rest.substr(1)) : std::nullopt;
    if (!count || *count < 1) return std::nullopt;
    workers = *count;
  }
  return Term{Kind::kPersistent, *factor, static_cast<double>(workers)};
}

// Nothing, where the parameters are not what the model needs.
std::optional<Term> term_of(Kind kind, std::string_view text) {
  if (kind == Kind::kPersistent) return persistent(text);
  if (kind == Kind::kUniform) {
    const auto ends = two_numbers(text, "..");
    return ends && ends->first <= ends->second ? std::optional(Term{kind, ends->first, ends->second}) : std::nullopt;
  }
  if (kind == Kind::kPauses) {
    const auto pause = two_numbers(text, ",");
    return pause && pause->first <= 1.0 ? std::optional(Term{kind, pause->first, pause->second}) : std::nullopt;
  }
  const auto value = real_number(text);
  if (!value) return std::nullopt;
  const bool positive = kind == Kind::kConstant || kind == Kind::kPareto;
  if ((positive && *value <= 0.0) || (kind == Kind::kLognormal && *value > 10.0)) return std::nullopt;
  return Term{kind, *value, 0.0};
}

Result<Term> parse_term(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto model = std::ranges::find(kModels, name, [](const Model& entry) { return std::string_view(entry.name); });
  if (model == kModels.end()) return unknown(name);
  const auto term = colon == std::string_view::npos ? std::nullopt : term_of(model->kind, text.substr(colon + 1));
  if (!term) return Error{Cause::kUsage, fmt::format("{} needs {}", name, model->needs)};
  return *term;
}

Result<std::vector<Term>> parse_terms(std::string_view text) {
  std::vector<Term> terms;
  if (text == "none" || text.starts_with(kTrace)) {
    if (text == kTrace) return Error{Cause::kUsage, "trace needs a file, as in trace:steps.csv"};
    return terms;
  }
  for (bool more = true; more;) {
    const std::size_t joint = text.find(kJoint);
    RUBATO_ASSIGN(const Term term, parse_term(text.substr(0, joint)));
    terms.push_back(term);
    more = joint != std::string_view::npos;
    if (more) text.remove_prefix(joint + kJoint.size());
  }
  return terms;
}

double draw(const Term& term, std::uint32_t worker, RandomStream& random) {
  const auto above_zero = [&] { return 1.0 - random.next_unit(); };  // (0, 1]
  switch (term.kind) {
    case Kind::kConstant:
      return term.a;
    case Kind::kUniform:
      return term.a + (term.b - term.a) * random.next_unit();
    case Kind::kLognormal:
      return std::exp(term.a * random.next_normal());
    case Kind::kPareto:
      return std::pow(above_zero(), -1.0 / term.a);
    case Kind::kExponential:
      return 1.0 - term.a * std::log(above_zero());
    case Kind::kPersistent:
      return worker < term.b ? term.a : 1.0;
    case Kind::kPauses:
      return random.next_unit() < term.a ? 1.0 + term.b : 1.0;
  }
  return 1.0;
}

}  // namespace

Status Stragglers::check(const std::string& text) {
  RUBATO_TRY(parse_terms(text));
  return {};
}

std::int64_t Stragglers::workers_named(const std::string& text) {
  std::int64_t named = 0;
  if (const auto terms = parse_terms(text); terms.ok())
    for (const Term& term : *terms)
      if (term.kind == Kind::kPersistent) named = std::max(named, static_cast<std::int64_t>(term.b));
  return named;
}

Result<Stragglers> Stragglers::open(const std::string& text, std::uint64_t seed) {
  Stragglers stragglers;
  stragglers.seed_ = seed;
  RUBATO_ASSIGN(stragglers.terms_, parse_terms(text));
  if (text.starts_with(kTrace)) {
    RUBATO_ASSIGN(auto trace, read_straggler_trace(text.substr(kTrace.size())));
    stragglers.trace_ = std::make_shared<const std::vector<std::vector<TimeNs>>>(std::move(trace));
  }
  return stragglers;
}

double Stragglers::factor(std::uint32_t worker, Clock clock) const {
  RUBATO_CHECK(trace_ == nullptr, "a trace has no factors");
  RandomStream random(stream_key(stream_key(seed_, "straggler", worker), "step", static_cast<std::uint64_t>(clock)));
  double product = 1.0;
  for (const Term& term : terms_) product *= draw(term, worker, random);
  return std::min(product, kFactorMax);
}

TimeNs Stragglers::step_time(TimeNs usual, std::uint32_t worker, Clock clock) const {
  if (trace_ != nullptr) {
    const std::vector<TimeNs>& steps = (*trace_)[worker % trace_->size()];
    return steps[static_cast<std::size_t>(clock) % steps.size()];
  }
  return terms_.empty() ? usual : static_cast<TimeNs>(static_cast<double>(usual) * factor(worker, clock));
}

}  // namespace rubato
