#include "protocol/recorder.h"

#include "base/processor.h"

namespace rubato::protocol {

Result<Recorder> Recorder::create(const std::string& dir, NodeId node, RecordOrigin origin) {
  RUBATO_ASSIGN(RecordWriter writer, RecordWriter::create(dir, node));
  return Recorder(node, std::move(origin), std::move(writer));
}

Status Recorder::record(TimeNs now, const TraceEvent& event) {
  switch (event.kind) {
    case TraceKind::kPlaced:
      return placed(event);
    case TraceKind::kBegin:
      return begin(event);
    case TraceKind::kUse:
      return use(event);
    case TraceKind::kSettle:
      return add_settled(now, RecordedSettle{event.slice,
                                             event.worker,
                                             event.clock,
                                             {static_cast<std::uint8_t>(event.level), event.index},
                                             static_cast<Fate>(event.fate),
                                             event.gradient_hash,
                                             event.weights_hash});
    case TraceKind::kApply:
      return add_settled(now, RecordedApply{event.slice, event.clock, static_cast<Fate>(event.fate) == Fate::kEmpty,
                                            event.rate, event.weights_hash});
    case TraceKind::kContribution:
      return add_settled(now, RecordedContribution{event.slice, event.worker, event.clock});
    case TraceKind::kServe:
      if (event.snapshot == 0) return {};
      return add_settled(now, RecordedSnapshot{event.snapshot, event.slice, event.version});
    case TraceKind::kActive:
    case TraceKind::kInactive:
    case TraceKind::kTick:
    case TraceKind::kGrant:
    case TraceKind::kPush:
    case TraceKind::kRepeat:
    case TraceKind::kCommit:
    case TraceKind::kContributor:
    case TraceKind::kDrop:
    case TraceKind::kEpoch:
    case TraceKind::kRules:
    case TraceKind::kSealed:
      return {};
  }
  return {};
}

Status Recorder::placed(const TraceEvent& event) {
  slices_ = event.slice;
  return writer_.begin({static_cast<std::uint8_t>(node_.role), node_.rank, origin_.job_hash, origin_.data_fingerprint,
                        slices_, event.placement, processor_name(), origin_.device});
}

// One node of a step. Those of a worker that died may come when the step is written already.
Status Recorder::begin(const TraceEvent& event) {
  const LeafNode node{static_cast<std::uint8_t>(event.level), event.index};
  if (step_ && event.clock <= step_->clock) {
    if (event.clock == step_->clock && missing_ > 0) {
      step_->nodes.push_back(node);
      return {};
    }
    RUBATO_TRY(writer_.add(RecordedNodes{event.clock, {node}}));
    return writer_.flush();
  }
  step_ = RecordedStep{
      event.clock, event.batch, event.leaves, {node}, event.rate, event.rule_epoch, std::vector<Version>(slices_)};
  missing_ = slices_;
  return {};
}

Status Recorder::use(const TraceEvent& event) {
  RUBATO_CHECK(step_ && step_->clock == event.clock && missing_ > 0, "weights for clock {}", event.clock);
  step_->used[event.slice] = event.version;
  if (--missing_ > 0) return {};
  RUBATO_TRY(writer_.add(*step_));
  return writer_.flush();
}

Status Recorder::add_settled(TimeNs now, const RecordEntry& entry) {
  RUBATO_TRY(writer_.add(entry));
  if (now - flushed_ < kSecond) return {};
  flushed_ = now;
  return writer_.flush();
}

}  // namespace rubato::protocol
