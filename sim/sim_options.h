// What a simulated job is run with, apart from the job itself: how long things take, what goes wrong when,
// and who wants to hear of it.
//
// A host is a process and is named for its first member: "scheduler", "server-0", "worker-2",
// "evaluator-0".
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/fault.h"
#include "base/job.h"
#include "base/rule_change.h"
#include "base/time.h"
#include "protocol/core.h"
#include "sim/profile.h"
#include "sim/sim_result.h"
#include "transport/sim/link_model.h"

namespace rubato::sim {

struct SimOptions {
  // Those that the job file asks for, with the timing of real processes. The job is valid.
  [[nodiscard]] static SimOptions of(const Job& job);

  // From one host to another, in this direction.
  struct Link {
    std::string from, to;
    transport::LinkModel model;
  };

  std::uint64_t seed = 1;
  transport::LinkModel link;
  std::vector<Link> links;  // that are otherwise
  std::vector<Fault> faults;
  std::vector<TimedRuleChange> changes;
  // The launcher sees children exit, tells the scheduler, and starts an evaluator again. Without it, deaths
  // show by silence alone.
  bool launcher = true;
  protocol::Timing timing{.heartbeat = 50 * kMillisecond,
                          .lost_after = 500 * kMillisecond,
                          .resend_after = 20 * kMillisecond,
                          .start_timeout = 2 * kSecond,
                          .evict_after = 2 * kSecond};
  // Members keep their records in this folder (protocol/record.h); empty: there are none.
  std::string record_dir;
  // The result has the weights of every snapshot.
  bool keep_snapshots = true;

  // Each may be empty. Lines of the trace are those of protocol/trace.h, without a line end; without a
  // listener the cores do not trace.
  std::function<void(NodeId, const std::string&)> trace;
  std::function<void(const nlohmann::ordered_json&)> metric;
  std::function<void(const SimNote&)> note;
  std::function<void()> between_events;
  Profile* profile = nullptr;  // where real time is counted, if at all
};

}  // namespace rubato::sim
