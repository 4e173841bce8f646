#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "transport/sim/sim_host.h"

namespace rubato::transport {

namespace {

constexpr std::string_view kScheme = "sim://";

Result<std::string> host_name(const std::string& address) {
  if (!address.starts_with(kScheme) || address.size() == kScheme.size())
    return Error{Cause::kNetwork, fmt::format("'{}' is no address here; expected {}NAME", address, kScheme)};
  return address.substr(kScheme.size());
}

// Sharing the sender's bytes is free, and as good as a copy: a Payload never changes.
Payload aligned(Payload part) {
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(part.bytes().data()) % alignof(std::uint64_t) == 0;
  return is_aligned ? std::move(part) : Payload::copy_of(part.bytes());
}

}  // namespace

SimEndpoint::~SimEndpoint() {
  for (const auto& [id, peer] : peers_)
    if (peer.made_here) wire_.close(peer.connection, *peer.link->to);
  if (alive()) wire_.leave(host_);
}

Result<std::string> SimEndpoint::listen(const std::string& address) {
  RUBATO_CHECK(handler_, "listen before on_frame");
  RUBATO_ASSIGN(const std::string name, host_name(address));
  if (name != host_.name)
    return Error{Cause::kNetwork, fmt::format("cannot listen on {}: this is host {}", address, host_.name)};
  if (alive()) wire_.listening(host_);
  return address;
}

Result<PeerId> SimEndpoint::connect(const std::string& address) {
  RUBATO_CHECK(handler_, "connect before on_frame");
  RUBATO_ASSIGN(const std::string name, host_name(address));
  const PeerId peer = wire_.new_peer();
  peers_.emplace(peer, Peer{&wire_.link(host_, name), peer, true});
  return peer;
}

void SimEndpoint::send(PeerId id, Frame frame) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !alive()) {
    ++counters_.dropped;
    return;
  }
  const Peer& peer = found->second;
  ++counters_.frames_sent;
  counters_.bytes_sent += frame.header.size() + frame.body.size();
  frame.header = aligned(std::move(frame.header));
  frame.body = aligned(std::move(frame.body));
  wire_.transmit({peer.link, peer.connection, !peer.made_here, std::move(frame)});
}

void SimEndpoint::forget(PeerId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  const Peer peer = found->second;
  peers_.erase(found);
  if (peer.made_here)
    wire_.close(peer.connection, *peer.link->to);
  else
    accepted_.erase(peer.connection);
}

bool SimEndpoint::receive(SimDelivery delivery) {
  PeerId peer = delivery.connection;
  if (delivery.to_maker) {
    if (!peers_.contains(peer)) return false;
  } else {
    const auto [entry, is_new] = accepted_.try_emplace(delivery.connection, 0);
    if (is_new) {
      entry->second = wire_.new_peer();
      peers_.emplace(entry->second, Peer{&wire_.link(host_, delivery.link->from->name), delivery.connection, false});
    }
    peer = entry->second;
  }
  ++counters_.frames_received;
  counters_.bytes_received += delivery.frame.header.size() + delivery.frame.body.size();
  handler_(peer, std::move(delivery.frame));
  return true;
}

}  // namespace rubato::transport
