#include "transport/shm/shm_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "transport/shm/link.h"
#include "transport/shm/local_socket.h"
#include "transport/shm/patience.h"

namespace rubato::transport {
namespace {

constexpr std::string_view kScheme = "shm://";
constexpr TimeNs kRetryFirst = 10 * kMillisecond, kRetryMax = 200 * kMillisecond;
constexpr int kTriesMax = 6;  // to make a connection, a third of a second, where somebody hears that it cannot be made
constexpr int kFramesPerTurn = 32;  // of all links, before the loop has its turn
constexpr int kFramesPerLink = 8;   // of one, before the others have theirs
// Bodies taken while somebody who sleeps has an answer already: some tens of microseconds of work. To wake costs four.
constexpr std::size_t kWakeAfterBytes = std::size_t{128} << 10;
constexpr int kLooksPerTurn = 32;              // of who looks again: a microsecond or so
constexpr std::ptrdiff_t kStrangersMax = 128;  // connected, and not a word yet

// Tells the processor that this is a loop that waits.
void rest_a_moment() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

Result<std::string> link_name(const std::string& address) {
  if (!address.starts_with(kScheme) || address.size() == kScheme.size())
    return Error{Cause::kNetwork, fmt::format("'{}' is no address here; expected {}NAME", address, kScheme)};
  return address.substr(kScheme.size());
}

// One connection, from the first try on.
struct Connection {
  std::string name;  // whom it connects to; empty where it was accepted
  PeerId peer = 0;   // of an accepted one: 0 until it speaks
  std::shared_ptr<LinkMemory> memory;
  std::optional<Watch> watch;  // of its socket
  std::optional<Link> link;    // once both sides have said who they are
  std::deque<Frame> waiting;   // for the link
  std::optional<Timer> retry;
  int tries = 0;           // in vain, since there was a link, or ever
  int refusals = 0;        // of these, those by somebody who was there; all of them, where there never was a link
  bool met = false;        // once there was a link
  bool forgotten = false;  // by us, or broken: it stays until the other side reads nothing of ours any more
  bool closed = false;
};

class ShmEndpoint final : public Endpoint {
 public:
  ShmEndpoint(Loop& loop, ShmOptions options, Doorbell bell)
      : loop_(loop), options_(std::move(options)), bell_(std::move(bell)), patience_(options_.spin) {
    rung_.emplace(loop_, bell_.descriptor().number(), [this] {
      bell_.quiet();
      take_turn();
    });
  }

  void on_frame(FrameHandler handler) override { handler_ = std::move(handler); }
  void on_given_up(GivenUpHandler handler) override { given_up_ = std::move(handler); }
  Result<std::string> listen(const std::string& address) override;
  Result<PeerId> connect(const std::string& address) override;
  void send(PeerId peer, Frame frame) override;
  void forget(PeerId peer) override;
  bool without_wire(PeerId /*peer*/) const override { return true; }
  EndpointCounters counters() const override { return counters_; }

 private:
  using ConnectionRef = std::shared_ptr<Connection>;

  void accept();
  [[nodiscard]] bool send_a_stranger_away();
  void add(const ConnectionRef& connection);
  void try_to_connect(const ConnectionRef& connection);
  void try_again(const ConnectionRef& connection, const Error& why);
  void give_up(const ConnectionRef& connection, const Error& why);
  [[nodiscard]] Status greet(const ConnectionRef& connection);
  void heed_socket(const ConnectionRef& connection);
  void not_met(const ConnectionRef& connection, const Error& why);
  void cannot_let_in(const Connection& connection, const Error& why);
  [[nodiscard]] Status shake_hands(Connection& connection, ReceivedLocal received);
  void heed_break(const ConnectionRef& connection);
  void lost(const ConnectionRef& connection, const Error& why);
  void close(const ConnectionRef& connection);

  void take_turn();
  int read_links();
  int read_some(const ConnectionRef& connection);
  void heed_arrival();
  void deliver(const ConnectionRef& connection, Frame frame);
  void wake_all();
  [[nodiscard]] bool look_again() const;
  void expect_answer();
  void sleep();

  Loop& loop_;
  const ShmOptions options_;
  const Doorbell bell_;
  FrameHandler handler_;
  GivenUpHandler given_up_;
  Descriptor listener_;
  std::optional<Watch> accepting_, rung_;
  std::optional<Timer> accept_later_;
  std::vector<ConnectionRef> connections_;
  std::unordered_map<PeerId, ConnectionRef> peers_;
  PeerId next_peer_ = 1;
  EndpointCounters counters_;
  Patience patience_;
  TimeNs idle_since_ = kNever;  // nothing has come since then, or since the last frame was sent; kNever: busy
  bool expecting_ = false;      // sent something, and nothing has come since
  bool looking_ = false, asleep_ = false;
  bool refusal_said_ = false;
  bool delivering_ = false;  // what is sent meanwhile wakes its readers together
  Wakeup next_turn_{loop_, [this] { take_turn(); }};
};

// ---- meeting ----------------------------------------------------------------------------------------

Result<std::string> ShmEndpoint::listen(const std::string& address) {
  RUBATO_CHECK(handler_, "listen before on_frame");
  RUBATO_ASSIGN(const std::string name, link_name(address));
  RUBATO_ASSIGN(listener_, listen_local(name, address));
  accepting_.emplace(loop_, listener_.number(), [this] { accept(); });
  return address;
}

void ShmEndpoint::accept() {
  for (;;) {
    Result<std::optional<Descriptor>> accepted = accept_local(listener_);
    if (!accepted.ok()) {
      ++counters_.refused;
      // Once: whoever is sent away comes again.
      if (given_up_ && !std::exchange(refusal_said_, true)) given_up_(0, accepted.error());
      // Whoever is silent makes room for the next.
      if (send_a_stranger_away() || accepted.error().cause == Cause::kRefused) continue;
      // Who waits still waits, and would wake the loop again and again.
      accepting_.reset();
      accept_later_.emplace(loop_, [this] { accepting_.emplace(loop_, listener_.number(), [this] { accept(); }); });
      accept_later_->arm(steady_now() + kRetryMax);
      return;
    }
    if (!accepted->has_value()) return;
    if (std::ranges::count_if(connections_, [](const auto& each) { return !each->link; }) >= kStrangersMax &&
        send_a_stranger_away())
      ++counters_.refused;
    auto connection = std::make_shared<Connection>();
    connection->memory = std::make_shared<LinkMemory>();
    connection->memory->socket = std::move(**accepted);
    add(connection);
    heed_socket(connection);  // who means it has spoken: only the silent are strangers
  }
}

// The one that has been silent for longest. False: there is none.
bool ShmEndpoint::send_a_stranger_away() {
  const auto found =
      std::ranges::find_if(connections_, [](const auto& each) { return each->name.empty() && !each->link; });
  if (found == connections_.end()) return false;
  close(ConnectionRef(*found));
  return true;
}

void ShmEndpoint::add(const ConnectionRef& connection) {
  connections_.push_back(connection);
  // The watch lives in the connection: it needs no share in it, and ends with it.
  connection->watch.emplace(loop_, connection->memory->socket.number(), [this, weak = std::weak_ptr(connection)] {
    if (const ConnectionRef alive = weak.lock()) heed_socket(alive);
  });
}

Result<PeerId> ShmEndpoint::connect(const std::string& address) {
  RUBATO_CHECK(handler_, "connect before on_frame");
  auto connection = std::make_shared<Connection>();
  RUBATO_ASSIGN(connection->name, link_name(address));
  connection->peer = next_peer_++;
  peers_.emplace(connection->peer, connection);
  try_to_connect(connection);
  return connection->peer;
}

void ShmEndpoint::try_to_connect(const ConnectionRef& connection) {
  if (connection->closed) return;
  const Status greeted = greet(connection);
  if (greeted.ok()) return add(connection);
  // Whoever was met may be away for as long as it takes to start it again, and that says nothing of the link to come.
  const bool away = connection->met && greeted.error().cause == Cause::kNetwork;
  if (!away) ++connection->refusals;
  try_again(connection, greeted.error());
}

void ShmEndpoint::try_again(const ConnectionRef& connection, const Error& why) {
  ++connection->tries;
  if (given_up_ && connection->refusals >= kTriesMax) return give_up(connection, why);
  connection->retry.emplace(loop_, [this, weak = std::weak_ptr(connection)] {
    if (const ConnectionRef alive = weak.lock()) try_to_connect(alive);
  });
  connection->retry->arm(steady_now() + std::min(kRetryFirst << std::min(connection->tries - 1, 8), kRetryMax));
}

void ShmEndpoint::give_up(const ConnectionRef& connection, const Error& why) {
  const PeerId peer = connection->peer;
  counters_.dropped += connection->waiting.size();
  close(connection);
  given_up_(peer, why);
}

Status ShmEndpoint::greet(const ConnectionRef& connection) {
  auto memory = std::make_shared<LinkMemory>();
  RUBATO_ASSIGN(memory->socket, connect_local(connection->name, std::string(kScheme) + connection->name));
  RUBATO_ASSIGN(memory->shared, SharedMemory::create("rubato-link", sizeof(LinkMemory::Layout)));
  if (!send_local(memory->socket, {LocalMessage::Kind::kHello},
                  {memory->shared.descriptor().number(), bell_.descriptor().number()}))
    return Error{Cause::kPeerLost, "it went away at once"};
  connection->memory = std::move(memory);
  return {};
}

// The first message of either side, or the end, or new segments.
void ShmEndpoint::heed_socket(const ConnectionRef& connection) {
  if (connection->closed) return;
  if (connection->link) {
    const bool there = connection->link->read_socket();
    heed_break(connection);
    if (!there && !connection->closed) lost(connection, {Cause::kPeerLost, "the process at the other end has gone"});
    return;
  }
  Result<std::optional<ReceivedLocal>> received = receive_local(connection->memory->socket);
  if (received.ok() && !received->has_value()) return;
  const Status met = received.ok() ? shake_hands(*connection, std::move(**received)) : Status(received.error());
  if (!met.ok()) return not_met(connection, met.error());
  connection->met = true;
  connection->tries = connection->refusals = 0;
  for (Frame& frame : std::exchange(connection->waiting, {})) connection->link->send(std::move(frame));
  connection->link->wake();
  take_turn();
}

void ShmEndpoint::not_met(const ConnectionRef& connection, const Error& why) {
  ++connection->refusals;
  switch (why.cause) {
    case Cause::kPeerLost:
      return lost(connection, {Cause::kPeerLost, "it hangs up; perhaps it has no file descriptors left"});
    case Cause::kRefused:  // it has said so: to ask again would be in vain
      connection->refusals = kTriesMax;
      return lost(connection, why);
    case Cause::kInternal:  // ours, and no fault of the other's
      if (connection->name.empty()) cannot_let_in(*connection, why);
      [[fallthrough]];
    default:
      ++counters_.refused;
      return lost(connection, why);
  }
}

// The other side only sees the end of it, or, where it can be told, that the reason stands here.
void ShmEndpoint::cannot_let_in(const Connection& connection, const Error& why) {
  (void)send_local(connection.memory->socket, {LocalMessage::Kind::kBroken}, {});
  if (given_up_) given_up_(0, why);
}

Status ShmEndpoint::shake_hands(Connection& connection, ReceivedLocal received) {
  LinkMemory& memory = *connection.memory;
  const bool accepting = connection.name.empty();
  if (!accepting && received.message.kind == LocalMessage::Kind::kBroken)
    return Error{Cause::kRefused, "the process at the other end cannot make a link, and its log says why"};
  const auto expected = accepting ? LocalMessage::Kind::kHello : LocalMessage::Kind::kWelcome;
  if (received.message.kind != expected || received.descriptors.size() != (accepting ? 2 : 1))
    return Error{Cause::kMalformed, "a first message that is none"};
  if (accepting) {
    RUBATO_ASSIGN(memory.shared,
                  SharedMemory::map(std::move(received.descriptors.front()), SharedMemory::Access::kReadWrite));
    RUBATO_TRY(memory.check());
  }
  RUBATO_ASSIGN(Doorbell bell, Doorbell::of_another(std::move(received.descriptors.back())));
  if (accepting && !send_local(memory.socket, {LocalMessage::Kind::kWelcome}, {bell_.descriptor().number()}))
    return Error{Cause::kPeerLost, "it went away at once"};
  memory.shared.close_descriptor();
  connection.link.emplace(connection.memory, accepting ? Link::Side::kAcceptor : Link::Side::kConnector,
                          std::move(bell), options_.heap.get());
  return {};
}

// ---- parting ----------------------------------------------------------------------------------------

// A link that breaks between two who live would break again: it is made no more. But who dies says nothing of that, and
// is waited for, whatever its last words were.
void ShmEndpoint::heed_break(const ConnectionRef& connection) {
  if (connection->closed || connection->forgotten || !connection->link || !connection->link->broken()) return;
  Link& link = *connection->link;
  if (link.gone() && !link.broken_there()) return;  // the socket tells
  const Error why = *link.broken();
  const PeerId peer = connection->peer;
  if (!link.broken_there()) ++counters_.refused;
  counters_.dropped += link.part();
  peers_.erase(peer);
  connection->forgotten = true;
  if (link.lent() == 0) close(connection);
  if (given_up_) given_up_(peer, why);
}

// The other side has gone, or is none of ours. What it has sent before is still read.
void ShmEndpoint::lost(const ConnectionRef& connection, const Error& why) {
  while (!connection->closed && read_some(connection) > 0) {
  }
  if (connection->closed) return;
  if (!connection->forgotten && connection->link && connection->link->broken()) ++counters_.refused;
  const bool again = !connection->name.empty() && !connection->forgotten;
  if (!again) return close(connection);
  connection->watch.reset();
  connection->link.reset();
  connection->memory.reset();
  std::erase(connections_, connection);
  try_again(connection, why);
}

// `connection` is the caller's own share, and none in the lists that it is taken from here.
void ShmEndpoint::close(const ConnectionRef& connection) {
  connection->closed = true;
  connection->watch.reset();
  connection->retry.reset();
  connection->waiting.clear();
  connection->link.reset();
  connection->memory.reset();
  if (!connection->forgotten) peers_.erase(connection->peer);
  std::erase(connections_, connection);
}

void ShmEndpoint::forget(PeerId id) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  const ConnectionRef connection = found->second;
  peers_.erase(found);
  connection->peer = 0;
  if (connection->name.empty()) return;  // if it speaks again, it is somebody new
  connection->forgotten = true;
  // Neither what it still reads of ours may be written again, nor what we read of its: whoever is done closes their
  // end.
  if (connection->link) counters_.dropped += connection->link->leave();
  if (!connection->link || connection->link->lent() == 0) close(connection);
}

// ---- frames -----------------------------------------------------------------------------------------

void ShmEndpoint::send(PeerId id, Frame frame) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) {
    ++counters_.dropped;
    return;
  }
  Connection& connection = *found->second;
  ++counters_.frames_sent;
  counters_.bytes_sent += frame.header.size() + frame.body.size();
  if (!connection.link) {
    connection.waiting.push_back(std::move(frame));
    return;
  }
  connection.link->send(std::move(frame));
  if (!delivering_) connection.link->wake();
  expecting_ = true;
  if (asleep_ && options_.spin > 0) expect_answer();
}

// Who sends from its sleep waits for an answer from now on, and may look for it.
void ShmEndpoint::expect_answer() {
  idle_since_ = steady_now();
  if (patience_.allowance() == 0) return;
  asleep_ = false;
  for (const ConnectionRef& connection : connections_)
    if (connection->link) connection->link->stay_awake();
  next_turn_.ring();
}

// Reads and sends what there is, and comes back behind whatever else the loop has to do; until there is nothing, and
// looking again does not pay.
void ShmEndpoint::take_turn() {
  asleep_ = false;
  int taken = 0;
  while (taken < kFramesPerTurn) {
    const int more = read_links();
    if (more == 0 && !look_again()) break;
    taken += more;
  }
  if (taken > 0) return next_turn_.ring();
  if (options_.spin == 0) return sleep();
  const TimeNs now = steady_now();
  if (idle_since_ == kNever) idle_since_ = now;
  const TimeNs allowance = expecting_ ? patience_.allowance() : 0;
  if (now - idle_since_ < allowance) {
    looking_ = true;
    return next_turn_.ring();
  }
  if (std::exchange(looking_, false)) patience_.in_vain();
  sleep();
}

// Sends what waits, and reads some of each link. How many frames came.
int ShmEndpoint::read_links() {
  int taken = 0;
  for (std::size_t i = 0; i < connections_.size(); ++i) {  // handlers may add connections, and take them away
    const ConnectionRef connection = connections_[i];
    if (!connection->link) continue;
    connection->link->tend();
    connection->link->wake();
    taken += read_some(connection);
    heed_break(connection);
  }
  return taken;
}

// Looks a few times, on the spot, while it is allowed to.
bool ShmEndpoint::look_again() const {
  for (int look = 0; looking_ && look < kLooksPerTurn; ++look) {
    for (const ConnectionRef& connection : connections_)
      if (connection->link && connection->link->ready()) return true;
    rest_a_moment();
  }
  return false;
}

void ShmEndpoint::sleep() {
  asleep_ = true;
  for (const ConnectionRef& connection : connections_)
    if (connection->link && !connection->link->fall_asleep()) asleep_ = false;
  if (!asleep_) next_turn_.ring();
}

// How many frames there were, kFramesPerLink at most.
int ShmEndpoint::read_some(const ConnectionRef& connection) {
  int taken = 0;
  std::size_t unannounced = 0;
  delivering_ = true;
  while (taken < kFramesPerLink && !connection->closed && connection->link) {
    std::optional<Frame> frame = connection->link->receive();
    if (!frame) break;
    ++taken;
    heed_arrival();
    unannounced += frame->body.size();
    if (unannounced > kWakeAfterBytes) wake_all(), unannounced = frame->body.size();
    deliver(connection, std::move(*frame));
  }
  delivering_ = false;
  wake_all();
  return taken;
}

void ShmEndpoint::wake_all() {
  for (const ConnectionRef& connection : connections_)
    if (connection->link) connection->link->wake();
}

// What came ends a wait, if there was one.
void ShmEndpoint::heed_arrival() {
  if (idle_since_ != kNever && expecting_) {
    const TimeNs waited = steady_now() - idle_since_;
    if (std::exchange(looking_, false))
      patience_.came_while_looking(waited);
    else
      patience_.came_to_a_sleeper(waited);
  }
  idle_since_ = kNever;
  expecting_ = false;
}

void ShmEndpoint::deliver(const ConnectionRef& connection, Frame frame) {
  if (connection->forgotten) return;
  if (connection->peer == 0) {
    connection->peer = next_peer_++;
    peers_.emplace(connection->peer, connection);
  }
  ++counters_.frames_received;
  counters_.bytes_received += frame.header.size() + frame.body.size();
  handler_(connection->peer, std::move(frame));
}

}  // namespace

Status shm_reachable(const std::string& address) {
  RUBATO_ASSIGN(const std::string name, link_name(address));
  RUBATO_TRY(can_share_memory());
  const Result<Descriptor> socket = connect_local(name, address);
  if (!socket.ok()) return socket.error();
  return {};
}

Result<std::unique_ptr<Endpoint>> make_shm_endpoint(Loop& loop, ShmOptions options) {
  RUBATO_ASSIGN(Doorbell bell, Doorbell::create());
  return std::unique_ptr<Endpoint>(std::make_unique<ShmEndpoint>(loop, std::move(options), std::move(bell)));
}

}  // namespace rubato::transport
