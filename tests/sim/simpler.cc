#include "tests/sim/simpler.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/check.h"

namespace rubato::sim {
namespace {

using transport::Delay;

// Whether that changed anything.
template <typename T>
bool becomes(T& value, T simple) {
  return std::exchange(value, simple) != simple;
}

bool lower(std::int64_t& value, std::int64_t to, std::int64_t least) {
  return becomes(value, std::min(value, std::max(to, least)));
}

bool no_loss(Scenario& s) { return becomes(s.options.link.loss, 0.0); }
bool no_duplication(Scenario& s) { return becomes(s.options.link.duplication, 0.0); }
bool no_reordering(Scenario& s) { return becomes(s.options.link.reordering, 0.0); }

bool links_alike(Scenario& s) {
  const bool differ = !s.options.links.empty();
  s.options.links.clear();
  return differ;
}

bool steady_network(Scenario& s) {
  s.options.link.delay = Delay::constant(100 * kMicrosecond);
  s.options.link.held_up = Delay::constant(kMillisecond);
  return becomes(s.job.simulation.step_fixed, 0.0);  // never 0 before
}

bool steady_steps(Scenario& s) { return becomes(s.job.worker.stragglers, std::string("none")); }

// Without deaths nobody comes back.
void settle_faults(Scenario& s) {
  auto& faults = s.options.faults;
  while (!faults.empty() && faults.front().kind == Fault::Kind::kReturn) faults.erase(faults.begin());
  if (faults.empty()) s.victim.clear(), s.drained = s.crashed = false;
}
bool no_last_fault(Scenario& s) {
  if (s.options.faults.empty()) return false;
  s.options.faults.pop_back();
  settle_faults(s);
  return true;
}
bool no_first_fault(Scenario& s) {
  if (s.options.faults.empty()) return false;
  s.options.faults.erase(s.options.faults.begin());
  settle_faults(s);
  return true;
}

bool one_fewer_worker(Scenario& s) {
  const Mode mode = parse_mode(s.job.consistency.mode).value();
  std::int64_t& workers = s.job.cluster.workers;
  const std::int64_t survivors = s.options.faults.empty() ? 1 : 2;  // a job whose only worker dies is meant to fail
  if (!lower(workers, workers - 1, std::max({survivors, mode.backups + 1, mode.splits}))) return false;
  const std::string gone = worker_node(static_cast<std::uint32_t>(workers)).name();
  auto& faults = s.options.faults;
  std::erase_if(faults, [&](const Fault& fault) { return fault.member == gone || fault.other == gone; });
  settle_faults(s);
  return true;
}

bool one_server(Scenario& s) {
  if (!becomes(s.job.cluster.servers, std::int64_t{1})) return false;
  if (s.job.cluster.slice_bytes > 64) s.setting["slices"] = 1;
  std::erase_if(s.options.faults,
                [](const Fault& fault) { return fault.kind == Fault::Kind::kCrash && fault.member != "server-0"; });
  settle_faults(s);
  return true;
}

bool one_fewer_epoch(Scenario& s) { return lower(s.job.train.epochs, s.job.train.epochs - 1, 1); }
bool half_the_samples(Scenario& s) { return lower(s.job.data.samples, s.job.data.samples / 2, 4); }
bool plain_sgd(Scenario& s) { return becomes(s.job.optimizer.name, std::string("sgd")); }

using Simplify = bool (*)(Scenario&);
constexpr std::array<std::pair<std::string_view, Simplify>, 13> kAll = {{{"one-fewer-worker", one_fewer_worker},
                                                                         {"no-last-fault", no_last_fault},
                                                                         {"no-first-fault", no_first_fault},
                                                                         {"one-fewer-epoch", one_fewer_epoch},
                                                                         {"half-the-samples", half_the_samples},
                                                                         {"one-server", one_server},
                                                                         {"no-loss", no_loss},
                                                                         {"no-duplication", no_duplication},
                                                                         {"no-reordering", no_reordering},
                                                                         {"links-alike", links_alike},
                                                                         {"steady-network", steady_network},
                                                                         {"steady-steps", steady_steps},
                                                                         {"plain-sgd", plain_sgd}}};

}  // namespace

std::span<const std::string_view> simplifications() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, kAll.size()> names;
    std::ranges::transform(kAll, names.begin(), [](const auto& entry) { return entry.first; });
    return names;
  }();
  return kNames;
}

bool simplify(Scenario& scenario, std::string_view name) {
  const auto* const found = std::ranges::find(kAll, name, [](const auto& entry) { return entry.first; });
  RUBATO_CHECK(found != kAll.end(), "no simplification is called {}", name);
  return found->second(scenario);
}

}  // namespace rubato::sim
