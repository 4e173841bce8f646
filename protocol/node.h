// Drives cores over an Endpoint: frames come in, are decoded, and go to the core that they are for; what
// a core puts into its Outbox is encoded and sent. Time and timers are given by the Environment, so the
// same driver runs real processes and simulated ones.
//
// A Node may host several cores (the shards of one server process); a frame says which one it is for.
//
// Two messages that may go in one frame do (protocol/joined.h): cores know nothing of that.
//
// Frames that are not well-formed, of another job, or for nobody here are refused: counted, noted once
// for each connection (of the first 64), and otherwise without effect. The heartbeats of the first core report the
// count.
//
// Thread-safety: belongs to the thread of its endpoint.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/codec.h"
#include "protocol/core.h"
#include "protocol/subject.h"
#include "transport/endpoint.h"

namespace rubato::protocol {

struct Environment {
  std::function<TimeNs()> now;
  // Asks for a call of Node::wake() at this time; replaces the one before. kNever: none.
  std::function<void(TimeNs)> arm;
};

struct NodeOptions {
  bool tracing = false;            // NodeListener hears on_trace
  bool hashing = false;            // traces hold hashes of gradients and weights
  bool checksum_bodies = true;     // of the frames it sends; headers always have one
  DType wire = DType::kFloat32;    // how gradients and weights travel, whatever the lane: as the job says
  timeline::Lane* lane = nullptr;  // what it does and sends is drawn there; null: nowhere
};

// What a node's owner wants to hear.
class NodeListener {
 public:
  virtual ~NodeListener() = default;
  virtual void on_trace(TimeNs now, NodeId node, const TraceEvent& event) = 0;
  virtual void on_note(NodeId node, Level level, const std::string& text) = 0;
  // The core has nothing left to do, once what was sent before is out. Said once. The node goes on calling
  // the core for as long as its owner keeps it: a scheduler still answers those who come late.
  virtual void on_end(NodeId node, int exit_code, const std::string& text) = 0;
};

class Node {
 public:
  // `endpoint` and `listener` outlive the node.
  Node(transport::Endpoint& endpoint, std::uint64_t job_id, Environment environment, NodeListener& listener,
       NodeOptions options = {});

  // Adds a core, which outlives the node. `after` is called after every call into it.
  void host(Core& core, std::function<void(TimeNs)> after = {});
  // Instead of a connection to that peer that was made before.
  [[nodiscard]] Status connect(NodeId peer, const std::string& address);
  void start();

  // Calls into a hosted core from outside the protocol (a trainer's report, an HTTP request).
  void enter(Core& core, const std::function<void(TimeNs, Outbox&)>& call);
  void wake();

  // Whether a scheduler has let one of its cores into a job.
  [[nodiscard]] bool joined() const;
  [[nodiscard]] const NodeOptions& options() const { return options_; }
  // Frames refused here and in the endpoint below.
  [[nodiscard]] std::uint64_t refused() const { return refused_ + endpoint_.counters().refused; }

 private:
  struct Hosted {
    Core* core;
    std::function<void(TimeNs)> after;
    Outbox out;
    bool ended = false;
  };

  void on_frame(transport::PeerId peer, transport::Frame frame);
  void refuse(transport::PeerId peer, const std::string& why);
  template <typename Call>
  void call(Hosted& hosted, Call&& function);
  void flush(TimeNs now, Hosted& hosted);
  void send_all(Hosted& hosted);
  void send(const Hosted& hosted, Outbox::Outgoing& outgoing, const Body* behind);
  [[nodiscard]] TimeNs begin_drawing();
  void draw_call(TimeNs began, const char* what, Subject subject, NodeId peer);
  void draw_sent(NodeId to, const Body& body);
  void arm();

  transport::Endpoint& endpoint_;
  const std::uint64_t job_id_;
  const Environment environment_;
  NodeListener& listener_;
  const NodeOptions options_;
  std::vector<std::unique_ptr<Hosted>> hosted_;
  std::map<NodeId, transport::PeerId> peers_;
  EncodingMemory memory_;
  std::uint64_t sequence_ = 0, refused_ = 0;
  std::set<transport::PeerId> complained_;
  TimeNs armed_ = kNever;
  // What the call under way has sent, for the timeline: the step of it, and whether it made an update.
  Clock drawn_ = kNoClock;
  bool drawn_applied_ = false;
};

}  // namespace rubato::protocol
