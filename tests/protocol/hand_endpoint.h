// A Node's surroundings, played by hand: what its endpoint brings and takes, and who listens to it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "protocol/node.h"

namespace rubato::protocol {

constexpr std::uint64_t kJob = 7;

// Takes frames by hand, and keeps what is sent.
class HandEndpoint final : public transport::Endpoint {
 public:
  void on_frame(FrameHandler handler) override { deliver = std::move(handler); }
  Result<std::string> listen(const std::string& address) override { return address; }
  Result<transport::PeerId> connect(const std::string& /*address*/) override { return transport::PeerId{1}; }
  void send(transport::PeerId /*peer*/, transport::Frame frame) override { sent.push_back(std::move(frame)); }
  void forget(transport::PeerId /*peer*/) override {}
  [[nodiscard]] transport::EndpointCounters counters() const override { return {.refused = thrown_out}; }

  FrameHandler deliver;
  std::vector<transport::Frame> sent;
  std::uint64_t thrown_out = 0;
};

// Keeps the notes.
class NoteListener final : public NodeListener {
 public:
  void on_trace(TimeNs /*now*/, NodeId /*node*/, const TraceEvent& /*event*/) override {}
  void on_note(NodeId /*node*/, Level /*level*/, const std::string& text) override { notes.push_back(text); }
  void on_end(NodeId /*node*/, int /*exit_code*/, const std::string& /*text*/) override {}

  std::vector<std::string> notes;
};

}  // namespace rubato::protocol
