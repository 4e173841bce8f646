#include "protocol/node.h"

#include <algorithm>
#include <optional>
#include <span>

#include "protocol/joined.h"

namespace rubato::protocol {
namespace {

// Connections come and go as strangers like: what is kept of them, and said, has an end.
constexpr std::size_t kComplainedMax = 64;

// Where the message stands that goes in one frame with the first of these, if there is one. A pull stands right behind
// its push. Weights stand somewhere behind their acknowledgement: a push that completes a clock has the answers of all
// workers in one Outbox.
std::optional<std::size_t> find_behind(std::span<const Outbox::Outgoing> messages) {
  const Outbox::Outgoing& first = messages.front();
  std::size_t end = 0;
  if (std::holds_alternative<Push>(first.body)) end = std::min<std::size_t>(messages.size(), 2);
  if (std::holds_alternative<PushAck>(first.body)) end = messages.size();
  for (std::size_t i = 1; i < end; ++i)
    if (messages[i].to == first.to && messages[i].via == first.via && may_join(first.body, messages[i].body)) return i;
  return std::nullopt;
}

}  // namespace

Node::Node(transport::Endpoint& endpoint, std::uint64_t job_id, Environment environment, NodeListener& listener,
           NodeOptions options)
    : endpoint_(endpoint),
      job_id_(job_id),
      environment_(std::move(environment)),
      listener_(listener),
      options_(options) {
  endpoint_.on_frame([this](transport::PeerId peer, transport::Frame frame) { on_frame(peer, std::move(frame)); });
}

void Node::host(Core& core, std::function<void(TimeNs)> after) {
  auto hosted = std::make_unique<Hosted>(Hosted{&core, std::move(after), {}, false});
  hosted->out.tracing = options_.tracing;
  hosted->out.hashing = options_.hashing;
  hosted_.push_back(std::move(hosted));
}

Status Node::connect(NodeId peer, const std::string& address) {
  if (const auto before = peers_.find(peer); before != peers_.end()) endpoint_.forget(before->second);
  RUBATO_ASSIGN(const transport::PeerId id, endpoint_.connect(address));
  peers_[peer] = id;
  return {};
}

void Node::start() {
  for (auto& hosted : hosted_) call(*hosted, [&](TimeNs now, Outbox& out) { hosted->core->start(now, out); });
}

void Node::enter(Core& core, const std::function<void(TimeNs, Outbox&)>& function) {
  const TimeNs began = begin_drawing();
  for (auto& hosted : hosted_)
    if (hosted->core == &core) call(*hosted, function);
  draw_call(began, "call", {.clock = drawn_}, kSchedulerNode);
}

bool Node::joined() const {
  return std::ranges::any_of(hosted_, [](const auto& hosted) { return hosted->core->identity().incarnation != 0; });
}

void Node::wake() {
  armed_ = kNever;
  const TimeNs now = environment_.now();
  for (auto& hosted : hosted_)
    if (hosted->core->deadline() <= now)
      call(*hosted, [&](TimeNs time, Outbox& out) { hosted->core->wake(time, out); });
  arm();
}

void Node::on_frame(transport::PeerId peer, transport::Frame frame) {
  const TimeNs began = begin_drawing();
  Result<Decoded> decoded = decode(frame, job_id_);
  frame = {};  // what the core lets go of is given back before the answer goes, and who reads that may write there
  if (!decoded.ok()) return refuse(peer, decoded.error().message);
  for (auto& hosted : hosted_) {
    if (hosted->core->identity().node != decoded->header.to) continue;
    decoded->envelope.via = peer;
    Subject subject, subject_behind;
    if (options_.lane != nullptr) {
      subject = subject_of(decoded->body);
      if (decoded->behind) subject_behind = subject_of(*decoded->behind);
    }
    call(*hosted, [&](TimeNs now, Outbox& out) {
      hosted->core->receive(now, decoded->envelope, std::move(decoded->body), out);
      if (decoded->behind) hosted->core->receive(now, decoded->envelope, std::move(*decoded->behind), out);
    });
    draw_call(began, "received", subject, decoded->envelope.from);
    if (!decoded->behind) return;
    drawn_applied_ = false;  // the call is drawn; this only says that a second message came with the first
    return draw_call(environment_.now(), "received", subject_behind, decoded->envelope.from);
  }
  refuse(peer, fmt::format("{} for {}, which is not here", type_name(decoded->header.type), decoded->header.to.name()));
}

void Node::refuse(transport::PeerId peer, const std::string& why) {
  ++refused_;
  if (complained_.size() < kComplainedMax && complained_.insert(peer).second)
    listener_.on_note(hosted_.front()->core->identity().node, Level::kWarning, "refused a frame: " + why);
}

template <typename Call>
void Node::call(Hosted& hosted, Call&& function) {
  const TimeNs now = environment_.now();
  function(now, hosted.out);
  flush(now, hosted);
  if (hosted.after) hosted.after(now);
  arm();
}

void Node::flush(TimeNs now, Hosted& hosted) {
  Outbox& out = hosted.out;
  const NodeId self = hosted.core->identity().node;
  for (const auto& [node, via] : out.binds) peers_[node] = via;
  for (const auto& [node, address] : out.connects)
    if (Status status = connect(node, address); !status.ok())
      listener_.on_note(self, Level::kError, status.error().message);
  // First, so that in the logs a reason stands before what its messages make others say.
  for (const Outbox::Note& note : out.notes) listener_.on_note(self, note.level, note.text);
  send_all(hosted);
  for (const TraceEvent& event : out.traces) listener_.on_trace(now, self, event);
  out.clear();
  if (out.end && !hosted.ended) {
    hosted.ended = true;
    listener_.on_end(self, out.end->exit_code, out.end->text);
  }
}

void Node::send_all(Hosted& hosted) {
  std::vector<Outbox::Outgoing>& messages = hosted.out.messages;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto behind = find_behind(std::span(messages).subspan(i));
    send(hosted, messages[i], behind ? &messages[i + *behind].body : nullptr);
    if (behind) messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(i + *behind));
  }
}

void Node::send(const Hosted& hosted, Outbox::Outgoing& outgoing, const Body* behind) {
  transport::PeerId peer = outgoing.via;
  if (peer == 0) {
    const auto found = peers_.find(outgoing.to);
    if (found == peers_.end()) return;  // it left, or was never here; whoever waits for it has a deadline
    peer = found->second;
  }
  // The driver alone knows what was refused on the way to its cores; the first of them says it for all.
  auto* beat = std::get_if<Heartbeat>(&outgoing.body);
  if (beat != nullptr && &hosted == hosted_.front().get()) beat->refused_frames += refused();
  const bool checksum = options_.checksum_bodies && !endpoint_.without_wire(peer);
  if (options_.lane != nullptr) {
    draw_sent(outgoing.to, outgoing.body);
    if (behind != nullptr) draw_sent(outgoing.to, *behind);
  }
  const Stamp stamp{job_id_, hosted.core->identity(), outgoing.to, ++sequence_, checksum, options_.wire};
  endpoint_.send(peer, encode(stamp, outgoing.body, behind, memory_));
}

TimeNs Node::begin_drawing() {
  drawn_ = kNoClock;
  drawn_applied_ = false;
  return options_.lane != nullptr ? environment_.now() : 0;
}

// A call that sent nothing of a step, and was not called with anything of one, is none of a step's.
void Node::draw_call(TimeNs began, const char* what, Subject subject, NodeId peer) {
  if (options_.lane == nullptr) return;
  options_.lane->add({.begin = began,
                      .end = environment_.now(),
                      .clock = subject.clock,
                      .what = what,
                      .of = subject.kind,
                      .slice = subject.slice,
                      .peer = peer,
                      .applied = drawn_applied_});
}

void Node::draw_sent(NodeId to, const Body& body) {
  const Subject subject = subject_of(body);
  const TimeNs now = environment_.now();
  options_.lane->add({.begin = now,
                      .end = now,
                      .clock = subject.clock,
                      .what = "sent",
                      .of = subject.kind,
                      .slice = subject.slice,
                      .peer = to});
  if (subject.clock != kNoClock) drawn_ = subject.clock;
  drawn_applied_ |= says_applied(body);
}

void Node::arm() {
  TimeNs deadline = kNever;
  for (const auto& hosted : hosted_) deadline = std::min(deadline, hosted->core->deadline());
  if (deadline == armed_) return;
  armed_ = deadline;
  environment_.arm(deadline);
}

}  // namespace rubato::protocol
