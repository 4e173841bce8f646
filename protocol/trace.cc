#include "protocol/trace.h"

#include <fmt/format.h>

namespace rubato::protocol {

std::string trace_line(TimeNs now, NodeId node, const TraceEvent& e) {
  std::string line = fmt::format(R"({{"t":{},"node":"{}","event":)", now, node.name());
  const auto add = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    line += fmt::format(format, std::forward<Args>(args)...);
  };
  switch (e.kind) {
    case TraceKind::kActive:
      add(R"("active","worker":{},"clock":{},"life":{})", e.worker, e.clock, e.life);
      break;
    case TraceKind::kInactive:
      add(R"("inactive","worker":{},"clock":{})", e.worker, e.clock);
      break;
    case TraceKind::kTick:
      add(R"("tick","worker":{},"clock":{})", e.worker, e.clock);
      break;
    case TraceKind::kGrant:
      add(R"("grant","worker":{},"clock":{},"bound":{},"min":{},"epoch":{},"first":{},"count":{},"rule_epoch":{})",
          e.worker, e.clock, e.bound, e.min, e.batch.epoch, e.batch.first, e.batch.count, e.rule_epoch);
      break;
    case TraceKind::kUse:
      add(R"("use","worker":{},"clock":{},"bound":{},"slice":{},"version":{},"floor":{})", e.worker, e.clock, e.bound,
          e.slice, e.version, e.floor);
      break;
    case TraceKind::kPush:
      add(R"("push","worker":{},"clock":{},"slice":{},"level":{},"index":{},"samples":{},"rule_epoch":{},"local_steps":{})",
          e.worker, e.clock, e.slice, e.level, e.index, e.samples, e.rule_epoch, e.local_steps);
      break;
    case TraceKind::kSettle:
      add(R"("settle","worker":{},"clock":{},"slice":{},"level":{},"index":{},"fate":{},"version":{},"age":{},"samples":{},"rule_epoch":{})",
          e.worker, e.clock, e.slice, e.level, e.index, e.fate, e.version, e.age, e.samples, e.rule_epoch);
      break;
    case TraceKind::kApply:
      add(R"("apply","clock":{},"slice":{},"version":{})", e.clock, e.slice, e.version);
      break;
    case TraceKind::kRepeat:
      add(R"("repeat","worker":{},"clock":{},"slice":{},"level":{},"index":{})", e.worker, e.clock, e.slice, e.level,
          e.index);
      break;
    case TraceKind::kServe:
      add(R"("serve","worker":{},"clock":{},"slice":{},"version":{},"floor":{},"snapshot":{},"wanted":{})", e.worker,
          e.clock, e.slice, e.version, e.floor, e.snapshot, e.wanted);
      break;
    case TraceKind::kPlaced:
      add(R"("placed","slices":{},"placement":{})", e.slice, e.placement);
      break;
    case TraceKind::kBegin:
      add(R"("begin","worker":{},"clock":{},"level":{},"index":{},"epoch":{},"first":{},"count":{},"leaves":{},"rate":{},"rule_epoch":{})",
          e.worker, e.clock, e.level, e.index, e.batch.epoch, e.batch.first, e.batch.count, e.leaves, e.rate,
          e.rule_epoch);
      break;
    case TraceKind::kCommit:
      add(R"("commit","number":{},"floor":{})", e.number, e.floor);
      break;
    case TraceKind::kContributor:
      add(R"("contributor","number":{},"worker":{},"clock":{})", e.number, e.worker, e.clock);
      break;
    case TraceKind::kContribution:
      add(R"("contribution","number":{},"worker":{},"clock":{},"slice":{},"age":{},"fate":{},"samples":{})", e.number,
          e.worker, e.clock, e.slice, e.age, e.fate, e.samples);
      break;
    case TraceKind::kDrop:
      add(R"("drop","worker":{},"clock":{},"slice":{})", e.worker, e.clock, e.slice);
      break;
    case TraceKind::kEpoch:
      add(R"("epoch","number":{},"samples":{})", e.number, e.samples);
      break;
    case TraceKind::kSealed:
      add(R"("sealed","worker":{},"life":{},"clock":{},"count":{},"slices":{})", e.worker, e.life, e.clock, e.count,
          e.slice);
      break;
    case TraceKind::kRules:
      add(R"("rules","rule_epoch":{},"clock":{},"bound":{},"least":{},"rate":{})", e.rule_epoch, e.clock, e.bound,
          e.min, e.rate);
      break;
  }
  return line + "}";
}

}  // namespace rubato::protocol
