#include "tests/sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/rng.h"
#include "tests/sim/trace_setting.h"

namespace rubato::sim {
namespace {

using transport::Delay;

struct Way {
  const char* mode;
  bool leased = false;
};
constexpr Way kWays[] = {
    {"bsp"},        {"ssp:0"},         {"ssp:1"},       {"ssp:2"},           {"ssp:3"},           {"ssp:4"},
    {"asp"},        {"dssp:0..3"},     {"dssp:1..4"},   {"backup:0"},        {"backup:1"},        {"softsync:1"},
    {"softsync:2"}, {"asp", true},     {"ssp:0", true}, {"ssp:3", true},     {"dssp:1..4", true}, {"softsync:2", true},
    {"local:2"},    {"local:3+ssp:1"}, {"local:2+asp"}, {"local:2+backup:1"}};
constexpr const char* kOuterRules[] = {"average", "nesterov", "delayed_nesterov"};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : seed_(seed), random_(stream_key(seed, "scenario")) {}

  Scenario make() {
    make_job();
    make_up_for_ages();
    make_average();
    make_network();
    make_speeds();
    if (!make_late_word()) make_fault();
    make_changes();
    make_crash();
    return std::move(scenario_);
  }

 private:
  bool happens(double probability) { return random_.next_unit() < probability; }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(most - least + 1)));
  }
  double up_to(double most) { return most * random_.next_unit(); }

  void make_job() {
    const Way& way = kWays[seed_ % std::size(kWays)];
    const bool wide = seed_ / std::size(kWays) % 2 == 0;  // slices of 16 weights, or as large as they may be
    const Mode mode = parse_mode(way.mode).value();
    const bool aggregate = mode.apply() == Mode::Apply::kAggregate;
    Job& job = scenario_.job;
    job.model.name = "quadratic";
    job.model.size = 48;
    job.data.kind = "synthetic";
    job.data.samples = between(8, 40);
    job.optimizer.name = happens(0.5) ? "momentum" : "adam";
    job.optimizer.rate = 0.05;
    job.consistency.mode = way.mode;
    if (way.leased) job.data.shards = "leased";
    job.optimizer.outer.name = kOuterRules[seed_ % std::size(kOuterRules)];
    job.optimizer.outer.delay = static_cast<std::int64_t>(seed_ % 4);
    job.cluster.servers = between(1, 3);
    job.cluster.workers = std::max(between(1, 4), std::max(mode.backups + 1, mode.splits));
    job.cluster.slice_bytes = wide ? 64 : 1 << 10;
    job.train.epochs = between(1, 6);
    job.train.micro_batches = wide ? 4 : 5;
    // Of local steps, and by the seed: what the checker has to know of a group includes it.
    job.train.batch = aggregate ? between(5, 12) : mode.local() ? (wide ? 2 : 3) : between(2, 5);
    job.train.seed = seed_;
    const std::size_t slices = wide || job.cluster.servers > 1 ? 3 : 1;  // cut for the servers, at 16 weights
    scenario_.group = fmt::format("{}-{}-{}-slices-{}-leaves", job.consistency.mode, job.data.shards, slices,
                                  job.train.micro_batches);
    std::ranges::replace_if(
        scenario_.group, [](char c) { return c == ':' || c == '+'; }, '-');
    scenario_.setting = trace_setting(job, 4, slices);
    scenario_.what = fmt::format("{} {}, {} workers, {} servers", job.consistency.mode, job.data.shards,
                                 job.cluster.workers, job.cluster.servers);
  }

  // From a stream of its own.
  void make_up_for_ages() {
    RandomStream random(stream_key(seed_, "ages"));
    OptimizerConfig& optimizer = scenario_.job.optimizer;
    if (random.next_unit() < 0.3) optimizer.age_scaling = "inverse";
    const double kind = random.next_unit();
    if (kind < 0.4) optimizer.compensation.name = kind < 0.2 ? "constant" : "adaptive";
    scenario_.setting = trace_setting(scenario_.job, 4, scenario_.setting["slices"]);
    if (scenario_.setting.contains("compensated")) scenario_.group += "-compensated";
    scenario_.what += fmt::format(", ages {}, compensation {}", optimizer.age_scaling, optimizer.compensation.name);
  }

  void make_average() {
    RandomStream random(stream_key(seed_, "average"));
    if (random.next_unit() >= 0.25) return;
    scenario_.job.evaluation.average = 0.9;
    scenario_.what += ", averaged";
  }

  void make_network() {
    scenario_.options.seed = seed_;
    transport::LinkModel& link = scenario_.options.link;
    switch (random_.below(3)) {
      case 0:
        link.delay = Delay::constant(between(10, 500) * kMicrosecond);
        break;
      case 1:
        link.delay = Delay::exponential(20 * kMicrosecond, between(50, 2000) * kMicrosecond);
        break;
      default:
        link.delay = Delay::lognormal(between(50, 500) * kMicrosecond, 1.0);
    }
    link.held_up = Delay::exponential(0, between(1, 20) * kMillisecond);
    if (happens(0.6)) link.loss = up_to(0.1);
    if (happens(0.5)) link.duplication = up_to(0.1);
    if (happens(0.5)) link.reordering = up_to(0.2);
    scenario_.what +=
        fmt::format(", loss {:.2f}, twice {:.2f}, reordered {:.2f}", link.loss, link.duplication, link.reordering);
  }

  void make_speeds() {
    Job& job = scenario_.job;
    job.simulation.step_ms = static_cast<double>(between(1, 10));
    job.simulation.step_fixed = up_to(1.0);
    job.simulation.evaluation_ms = static_cast<double>(between(1, 30));
    job.worker.stragglers = "lognormal:0.5";
    if (happens(0.3)) job.worker.stragglers += fmt::format(" + persistent:{}x", between(2, 10));
  }

  void make_fault() {
    scenario_.options.launcher = happens(0.7);
    const TimeNs at = between(1, 150) * kMillisecond;
    auto& faults = scenario_.options.faults;
    const double kind = random_.next_unit();
    if (kind < 0.05) {
      scenario_.drained = true;
      scenario_.what += fmt::format(", drained at {} ms", at / kMillisecond);
      faults.push_back({at, Fault::Kind::kDrain, "scheduler"});
      return;
    }
    if (kind > 0.75 || scenario_.job.cluster.workers == 1) return;
    const std::string worker = fmt::format("worker-{}", between(0, scenario_.job.cluster.workers - 1));
    if (kind < 0.55) {
      scenario_.victim = worker;
      scenario_.what += fmt::format(", {} killed at {} ms", worker, at / kMillisecond);
      faults.push_back({at, Fault::Kind::kKill, worker});
      make_return(worker, at);
    } else if (kind < 0.65) {
      const TimeNs until = at + between(50, 1500) * kMillisecond;
      scenario_.victim = worker;
      scenario_.what +=
          fmt::format(", {} stopped at {} ms until {} ms", worker, at / kMillisecond, until / kMillisecond);
      faults.push_back({at, Fault::Kind::kPause, worker, "", until});
    } else {
      const std::string other = happens(0.5) ? "scheduler" : "server-0";
      const TimeNs until = at + between(50, 1500) * kMillisecond;
      scenario_.victim = worker;
      scenario_.what += fmt::format(", {} cut off from {} at {} ms until {} ms", worker, other, at / kMillisecond,
                                    until / kMillisecond);
      faults.push_back({at, Fault::Kind::kCut, worker, other, until});
    }
  }

  // A life ends, and word of it comes to the shards late and in pieces: Seal without Membership, or after it, while
  // pushes are on their way. From a stream of its own.
  bool make_late_word() {
    RandomStream random(stream_key(seed_, "late word"));
    const auto within = [&](std::int64_t least, std::int64_t most) {
      return least + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most - least + 1)));
    };
    Job& job = scenario_.job;
    if (job.cluster.workers == 1 || random.next_unit() > 0.2) return false;
    SimOptions& options = scenario_.options;
    const auto rank = within(0, job.cluster.workers - 1);
    const std::string worker = fmt::format("worker-{}", rank);
    transport::LinkModel to_shards = options.link, of_pushes = options.link;
    to_shards.loss = 0.2 + 0.3 * random.next_unit();
    of_pushes.delay = Delay::exponential(0, within(2, 40) * kMillisecond);
    for (std::int64_t server = 0; server < job.cluster.servers; ++server) {
      const std::string shard = fmt::format("server-{}", server);
      options.links.push_back({"scheduler", shard, to_shards});
      options.links.push_back({worker, shard, of_pushes});
    }
    // A shard that gives up because 30 heartbeats in a row were lost, each with at most even odds, would be one in
    // 10^9.
    options.timing.lost_after = 1500 * kMillisecond;
    scenario_.victim = worker;
    scenario_.what += fmt::format(", pushes of {} late, {:.2f} of what shards are told lost", worker, to_shards.loss);
    if (random.next_unit() < 0.7) {
      options.launcher = true;
      const TimeNs at = within(5, 250) * kMillisecond;
      scenario_.what += fmt::format(", killed at {} ms", at / kMillisecond);
      options.faults.push_back({at, Fault::Kind::kKill, worker});
      make_return(worker, at);
      return true;
    }
    // Evicted in a step that takes longer than it may be silent; that a step is long is nobody's fault.
    options.timing.evict_after = 60 * kSecond;
    job.simulation.step_ms = static_cast<double>(within(200, 600));
    job.train.epochs = std::min<std::int64_t>(job.train.epochs, 2);
    job.worker.stragglers = "lognormal:0.5";
    const TimeNs at = within(100, 2000) * kMillisecond, until = at + within(1600, 2200) * kMillisecond;
    scenario_.what += fmt::format(", cut off from scheduler at {} ms until {} ms, steps of {} ms", at / kMillisecond,
                                  until / kMillisecond, job.simulation.step_ms);
    options.faults.push_back({at, Fault::Kind::kCut, worker, "scheduler", until});
    return true;
  }

  // Of the dead some come back, and some of those die again.
  void make_return(const std::string& worker, TimeNs at) {
    auto& faults = scenario_.options.faults;
    while (happens(0.4)) {
      at += between(1, 80) * kMillisecond;
      scenario_.what += fmt::format(", back at {} ms", at / kMillisecond);
      faults.push_back({at, Fault::Kind::kReturn, worker});
      if (!happens(0.3)) return;
      at += between(1, 80) * kMillisecond;
      scenario_.what += fmt::format(", killed at {} ms", at / kMillisecond);
      faults.push_back({at, Fault::Kind::kKill, worker});
    }
  }

  // A server dies and comes back, perhaps twice, where what it leaves is enough to go on from. From a stream of its
  // own.
  void make_crash() {
    RandomStream random(stream_key(seed_, "crash"));
    const Job& job = scenario_.job;
    const bool committed = parse_mode(job.consistency.mode)->apply() == Mode::Apply::kCommitted;
    if (committed || scenario_.setting.contains("compensated") || random.next_unit() > 0.3) return;
    scenario_.options.launcher = true;
    const std::string server = fmt::format("server-{}", random.below(static_cast<std::uint64_t>(job.cluster.servers)));
    TimeNs at = 0;
    do {
      at += static_cast<TimeNs>(20 + random.below(120)) * kMillisecond;
      const TimeNs back = at + static_cast<TimeNs>(2 + random.below(60)) * kMillisecond;
      scenario_.crashed = true;
      scenario_.what +=
          fmt::format(", {} crashed at {} ms, back at {} ms", server, at / kMillisecond, back / kMillisecond);
      scenario_.options.faults.push_back({at, Fault::Kind::kCrash, server, "", back});
      at = back;
    } while (random.next_unit() < 0.3);
  }

  // Other rules on the way: between modes on arrival, and other rates in all.
  void make_changes() {
    constexpr const char* kOnArrival[] = {"ssp:0", "ssp:1", "ssp:2", "ssp:4", "asp", "dssp:0..3", "dssp:1..4"};
    random_ = RandomStream(stream_key(seed_, "changes"));
    const bool on_arrival = parse_mode(scenario_.job.consistency.mode)->apply() == Mode::Apply::kOnArrival;
    if (happens(on_arrival ? 0.5 : 0.8)) return;
    for (std::int64_t left = between(1, 3); left > 0; --left) {
      TimedRuleChange timed{.change = {}, .at = between(1, 120) * kMillisecond};
      if (!on_arrival || happens(0.5)) timed.change.rate = 0.01 + up_to(0.05);
      if (on_arrival && (!timed.change.rate || happens(0.5)))
        timed.change.mode = parse_mode(kOnArrival[random_.below(std::size(kOnArrival))]).value();
      scenario_.options.changes.push_back(timed);
      scenario_.what += fmt::format(", {} and rate {:.3f} set at {} ms",
                                    timed.change.mode ? mode_name(*timed.change.mode) : "the same mode",
                                    timed.change.rate.value_or(0.0), timed.at / kMillisecond);
    }
  }

  const std::uint64_t seed_;
  RandomStream random_;
  Scenario scenario_;
};

}  // namespace

Scenario make_scenario(std::uint64_t seed) { return Maker(seed).make(); }

}  // namespace rubato::sim
