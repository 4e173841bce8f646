#include "protocol/enrollment.h"

namespace rubato::protocol {

void Enrollment::start(TimeNs now, Outbox& out) {
  started_ = heard_ = now;
  out.send(kSchedulerNode, details_);
  next_ = now + timing_.heartbeat;
}

bool Enrollment::receive(TimeNs now, const Envelope& envelope, const Body& body, Outbox& out) {
  if (envelope.from != kSchedulerNode || over_) return over_;
  heard_ = now;
  if (const auto* refuse = std::get_if<Refuse>(&body)) {
    if (!joined()) end(static_cast<int>(refuse->cause), refuse->text, out);
  } else if (const auto* finish = std::get_if<Finish>(&body)) {
    out.send(kSchedulerNode, Goodbye{0, ""});
    end(finish->exit_code, finish->text, out);
  } else if (const auto* beat = std::get_if<Beat>(&body)) {
    ready_known_ = ready_known_ || beat->ready_known;
  } else {
    return false;
  }
  return true;
}

bool Enrollment::welcomed(const Welcome& welcome) {
  if (joined() || welcome.incarnation == 0) return false;
  identity_.incarnation = welcome.incarnation;
  identity_.generation = welcome.generation;
  identity_.route = welcome.routing.route;
  return true;
}

bool Enrollment::moved(const Welcome& welcome, RoutingTable& routing, Outbox& out) {
  const RoutingTable& now = welcome.routing;
  if (!joined() || welcome.incarnation != identity_.incarnation || now.route <= identity_.route ||
      now.shards() != routing.shards())
    return false;
  for (std::uint32_t shard = 0; shard < now.shards(); ++shard)
    if (routing.addresses[shard] != now.addresses[shard]) out.connect(server_node(shard), now.addresses[shard]);
  routing.addresses = now.addresses;
  routing.route = identity_.route = now.route;
  return true;
}

void Enrollment::ready(TimeNs now, Outbox& out) {
  ready_ = true;
  out.send(kSchedulerNode, Ready{});
  next_ = now + timing_.heartbeat;
}

void Enrollment::wake(TimeNs now, const Heartbeat& beat, Outbox& out) {
  if (over_ || now < next_) return;
  // Whoever wakes so late was stopped, and what was said to it meanwhile is still to be heard: the silence
  // is its own.
  if (now - next_ > timing_.lost_after / 2) heard_ = now;
  next_ = now + timing_.heartbeat;
  // The scheduler answers nobody while it waits for members to come, and then for servers to be ready; each
  // may take it start_timeout.
  const TimeNs patience = joined() ? timing_.lost_after : 2 * timing_.start_timeout + timing_.lost_after;
  if (const TimeNs silence = now - heard_; silence > patience) {
    end(static_cast<int>(Cause::kPeerLost),
        joined()
            ? fmt::format("the scheduler has not answered for {:.1f} s: it is gone, or cannot be reached; {} stops",
                          seconds(silence), self_.name())
            : fmt::format("the scheduler has not let {} in for {:.1f} s: it is not there, or waits for members "
                          "that do not come",
                          self_.name(), seconds(silence)),
        out);
    return;
  }
  if (!joined()) {
    out.send(kSchedulerNode, details_);
    return;
  }
  if (ready_ && !ready_known_) out.send(kSchedulerNode, Ready{});
  out.send(kSchedulerNode, beat);
}

void Enrollment::leave(const Error& error, Outbox& out) {
  if (over_) return;
  out.send(kSchedulerNode, Goodbye{error.exit_code(), error.message});
  end(error.exit_code(), error.message, out);
}

void Enrollment::end(int code, const std::string& text, Outbox& out) {
  over_ = true;
  out.finish(code, text);
}

}  // namespace rubato::protocol
