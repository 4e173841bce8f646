// Keeps the record of one member (protocol/record.h): picks what a replay needs out of the events that its
// core traces (protocol/trace.h), and writes it down.
//
// A worker's step is written once all that it reads is known, which is before any of its gradients leaves:
// so a worker may be killed at any moment. A shard's entries are written in blocks, at most a second late.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "protocol/record_file.h"
#include "protocol/trace.h"

namespace rubato::protocol {

// What stands in the header of a record beside what the job's start brings.
struct RecordOrigin {
  std::string job_hash;
  std::string data_fingerprint = "", device = "";  // of a worker
};

class Recorder {
 public:
  // Writes into DIR. Errors: kStorage, here and below.
  [[nodiscard]] static Result<Recorder> create(const std::string& dir, NodeId node, RecordOrigin origin);

  [[nodiscard]] Status record(TimeNs now, const TraceEvent& event);
  // What has been recorded is in the system's hands.
  [[nodiscard]] Status flush() { return writer_.flush(); }

 private:
  Recorder(NodeId node, RecordOrigin origin, RecordWriter writer)
      : node_(node), origin_(std::move(origin)), writer_(std::move(writer)) {}

  [[nodiscard]] Status placed(const TraceEvent& event);
  [[nodiscard]] Status begin(const TraceEvent& event);
  [[nodiscard]] Status use(const TraceEvent& event);
  [[nodiscard]] Status add_settled(TimeNs now, const RecordEntry& entry);

  NodeId node_;
  RecordOrigin origin_;
  RecordWriter writer_;
  std::uint32_t slices_ = 0;
  TimeNs flushed_ = 0;
  std::optional<RecordedStep> step_;  // of a worker: the newest
  std::size_t missing_ = 0;           // slices of which that step has no version yet
};

}  // namespace rubato::protocol
