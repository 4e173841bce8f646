#include "transport/zmq/zmq_endpoint.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <zmq.hpp>

#include "transport/zmq/connection_monitor.h"
#include "transport/zmq/message.h"
#include "transport/zmq/polled_socket.h"

namespace rubato::transport {

namespace {

constexpr int kBacklog = 1024;
constexpr int kReconnectMs = 10, kReconnectMaxMs = 200;

// [routing id,] header, body; and one more to see that there are too many.
constexpr std::size_t kPartsMax = 4;

struct Parts {
  std::array<zmq::message_t, kPartsMax> part;
  std::size_t count = 0;
};

// A whole message; parts beyond the last are read and thrown away. False if there is none.
bool receive_parts(zmq::socket_t& socket, Parts& parts) {
  bool more = true;
  while (more) {
    zmq::message_t& part = parts.part[std::min(parts.count, kPartsMax - 1)];
    if (!receive_part(socket, part)) return false;
    ++parts.count;
    more = part.more();
  }
  return true;
}

std::string random_routing_id() {
  std::random_device source;
  std::string id("R");  // libzmq keeps ids that begin with a zero byte for itself
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t word = source();
    id.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  return id;
}

// libzmq takes a socket's path over from whoever listens on it. Two jobs in one directory must be told.
bool someone_listens(const std::string& address) {
  constexpr std::string_view kScheme = "ipc://";
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (!address.starts_with(kScheme) || address.size() - kScheme.size() >= sizeof(name.sun_path)) return false;
  address.copy(name.sun_path, sizeof(name.sun_path) - 1, kScheme.size());
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool connected = ::connect(probe, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
  ::close(probe);
  return connected;
}

Error listen_error(const std::string& address, int error) {
  const char* advice = "";
  if (error == EADDRINUSE)
    advice = "; another process has it: stop that, or choose another (port 0 is picked by the system)";
  if (error == ENAMETOOLONG) advice = "; a socket's path has at most 107 characters, choose a shorter run directory";
  if (error == ENODEV || error == EADDRNOTAVAIL) advice = "; this host has no such address";
  return {Cause::kNetwork, fmt::format("cannot listen on {}: {}{}", address, ::zmq_strerror(error), advice)};
}

class ZmqEndpoint final : public Endpoint {
 public:
  // May throw zmq::error_t.
  ZmqEndpoint(Loop& loop, const ZmqOptions& options) : loop_(loop), options_(options), context_(options.io_threads) {
    context_.set(zmq::ctxopt::max_sockets, 65535);
  }

  ~ZmqEndpoint() override {
    monitor_.reset();
    if (listener_) listener_->close();
    for (auto& [id, peer] : peers_)
      if (peer.connection) peer.connection->close();
    // ~context_ waits until what lingers is sent.
  }

  void on_frame(FrameHandler handler) override { handler_ = std::move(handler); }
  Result<std::string> listen(const std::string& address) override;
  Result<PeerId> connect(const std::string& address) override;
  void send(PeerId peer, Frame frame) override;
  void forget(PeerId peer) override;
  EndpointCounters counters() const override;

 private:
  struct Peer {
    std::shared_ptr<PolledSocket> connection;  // ours; or null, and the peer is the listener's
    std::string routing_id;
    std::list<PeerId>::iterator heard = {};  // the listener's: its place in heard_
  };

  zmq::socket_t open_socket(zmq::socket_type type);
  void open_listener();
  bool receive_from_stranger(zmq::socket_t& socket);
  [[nodiscard]] PeerId known(const zmq::message_t& routing_id);
  bool receive_from(PeerId peer, zmq::socket_t& socket);
  void deliver(PeerId peer, zmq::message_t header, zmq::message_t body);
  [[nodiscard]] bool fits(const zmq::message_t& header, const zmq::message_t& body) const;

  Loop& loop_;
  const ZmqOptions options_;
  FrameHandler handler_;
  zmq::context_t context_;
  std::shared_ptr<PolledSocket> listener_;
  std::optional<ConnectionMonitor> monitor_;
  std::unordered_map<PeerId, Peer> peers_;
  std::map<std::string, PeerId, std::less<>> by_routing_id_;
  std::list<PeerId> heard_;  // the listener's peers, the latest last
  PeerId next_peer_ = 1;
  EndpointCounters counters_;
  BlockPool blocks_{512};  // of what comes: headers, bodies of control messages, what keeps others
};

zmq::socket_t ZmqEndpoint::open_socket(zmq::socket_type type) {
  zmq::socket_t socket(context_, type);
  // A limit on what is to be sent would drop frames or block the loop: the protocol above bounds what a member says
  // before it is answered. What has come takes memory here, and has one; libzmq stops reading then and drops nothing.
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, options_.waiting_frames_max);
  socket.set(zmq::sockopt::linger, options_.linger_ms);
  socket.set(zmq::sockopt::maxmsgsize, 2 * options_.part_bytes_max);
  socket.set(zmq::sockopt::ipv6, 0);
  return socket;
}

void ZmqEndpoint::open_listener() {
  if (listener_) return;
  zmq::socket_t router = open_socket(zmq::socket_type::router);
  router.set(zmq::sockopt::backlog, kBacklog);
  router.set(zmq::sockopt::router_handover, true);   // a connection made anew displaces its dead self
  router.set(zmq::sockopt::router_mandatory, true);  // tells of frames to peers that have gone
  // With a domain, and nobody asked to authenticate, libzmq refuses ZMTP 1 and 2 and nothing else.
  router.set(zmq::sockopt::zap_domain, "rubato");
  listener_ = PolledSocket::open(loop_, std::move(router),
                                 [this](zmq::socket_t& socket) { return receive_from_stranger(socket); });
  monitor_.emplace(loop_, context_, listener_->socket());
}

Result<std::string> ZmqEndpoint::listen(const std::string& address) {
  RUBATO_CHECK(handler_, "listen before on_frame");
  try {
    if (someone_listens(address)) return listen_error(address, EADDRINUSE);
    open_listener();
    listener_->socket().bind(address);
    listener_->look_again();
    return listener_->socket().get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    return listen_error(address, error.num());
  }
}

Result<PeerId> ZmqEndpoint::connect(const std::string& address) {
  RUBATO_CHECK(handler_, "connect before on_frame");
  try {
    std::string routing_id = random_routing_id();
    zmq::socket_t dealer = open_socket(zmq::socket_type::dealer);
    dealer.set(zmq::sockopt::routing_id, routing_id);
    dealer.set(zmq::sockopt::reconnect_ivl, kReconnectMs);
    dealer.set(zmq::sockopt::reconnect_ivl_max, kReconnectMaxMs);
    dealer.connect(address);
    const PeerId peer = next_peer_++;
    auto connection = PolledSocket::open(loop_, std::move(dealer),
                                         [this, peer](zmq::socket_t& socket) { return receive_from(peer, socket); });
    peers_.emplace(peer, Peer{std::move(connection), std::move(routing_id), {}});
    return peer;
  } catch (const zmq::error_t& error) {
    return Error{Cause::kNetwork, fmt::format("cannot connect to {}: {}; expected tcp://host:port or ipc://path",
                                              address, error.what())};
  }
}

void ZmqEndpoint::send(PeerId id, Frame frame) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) {
    ++counters_.dropped;
    return;
  }
  const Peer& peer = found->second;
  const auto& way = peer.connection ? peer.connection : listener_;
  zmq::socket_t& socket = way->socket();
  // The listener says at the routing id whether the peer's connection is there; the rest cannot fail.
  const bool sent = (peer.connection || send_part(socket, zmq::message_t(peer.routing_id), true)) &&
                    send_part(socket, to_message(frame.header), true) &&
                    send_part(socket, to_message(frame.body), false);
  way->look_again();
  if (!sent) {
    ++counters_.dropped;
    return;
  }
  ++counters_.frames_sent;
  counters_.bytes_sent += frame.header.size() + frame.body.size();
}

void ZmqEndpoint::forget(PeerId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  if (found->second.connection) {
    found->second.connection->socket().set(zmq::sockopt::linger, 0);
    found->second.connection->close();
  } else {
    by_routing_id_.erase(found->second.routing_id);
    heard_.erase(found->second.heard);
  }
  peers_.erase(found);
}

EndpointCounters ZmqEndpoint::counters() const {
  EndpointCounters counters = counters_;
  if (monitor_) counters.refused += monitor_->refused();
  return counters;
}

bool ZmqEndpoint::receive_from_stranger(zmq::socket_t& socket) {
  Parts parts;
  if (!receive_parts(socket, parts)) return false;
  auto& [routing_id, header, body, excess] = parts.part;
  if (parts.count != 3 || !fits(header, body)) {
    ++counters_.refused;
    return true;
  }
  deliver(known(routing_id), std::move(header), std::move(body));
  return true;
}

// Who speaks at the listener, now the latest to do so.
PeerId ZmqEndpoint::known(const zmq::message_t& routing_id) {
  if (const auto found = by_routing_id_.find(routing_id.to_string_view()); found != by_routing_id_.end()) {
    heard_.splice(heard_.end(), heard_, peers_.at(found->second).heard);
    return found->second;
  }
  if (std::cmp_greater_equal(heard_.size(), options_.known_peers_max)) forget(heard_.front());
  const PeerId peer = next_peer_++;
  by_routing_id_.emplace(routing_id.to_string(), peer);
  peers_.emplace(peer, Peer{nullptr, routing_id.to_string(), heard_.insert(heard_.end(), peer)});
  return peer;
}

bool ZmqEndpoint::receive_from(PeerId peer, zmq::socket_t& socket) {
  Parts parts;
  if (!receive_parts(socket, parts)) return false;
  auto& [header, body, excess, more_excess] = parts.part;
  if (parts.count == 2 && fits(header, body))
    deliver(peer, std::move(header), std::move(body));
  else
    ++counters_.refused;
  return true;
}

bool ZmqEndpoint::fits(const zmq::message_t& header, const zmq::message_t& body) const {
  return std::max(header.size(), body.size()) <= static_cast<std::size_t>(options_.part_bytes_max);
}

void ZmqEndpoint::deliver(PeerId peer, zmq::message_t header, zmq::message_t body) {
  ++counters_.frames_received;
  counters_.bytes_received += header.size() + body.size();
  handler_(peer, Frame{to_payload(std::move(header), blocks_), to_payload(std::move(body), blocks_)});
}

}  // namespace

Result<std::unique_ptr<Endpoint>> make_zmq_endpoint(Loop& loop, const ZmqOptions& options) {
  try {
    return std::unique_ptr<Endpoint>(std::make_unique<ZmqEndpoint>(loop, options));
  } catch (const zmq::error_t& error) {
    return Error{Cause::kNetwork, fmt::format("cannot start ZeroMQ: {}", error.what())};
  }
}

}  // namespace rubato::transport
