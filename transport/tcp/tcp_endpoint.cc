#include "transport/tcp/tcp_endpoint.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>

#include "transport/tcp/line.h"
#include "transport/tcp/tcp_socket.h"

namespace rubato::transport {
namespace {

constexpr int kRetryMs = 10, kRetryMaxMs = 200;
// Of one connection before others have their turn.
constexpr int kFramesPerTurn = 32;
constexpr std::size_t kBytesPerTurn = std::size_t{8} << 20;
// What is smaller goes to the kernel together with whatever else is sent in the same turn of the loop.
constexpr std::size_t kGatherBytesMax = std::size_t{32} << 10;
// Whoever connects and does not greet for so long has to go when the next one comes.
constexpr TimeNs kGreetingPatience = 30 * kSecond;
// Of those who had connected here and have gone: so many are known again.
constexpr std::size_t kGoneMax = 1024;
constexpr TimeNs kAcceptRest = 200 * kMillisecond;  // where no descriptor is left

std::string random_id() {
  std::random_device source;
  std::string id;
  while (id.size() < kGreetingIdBytes) {
    const std::uint32_t word = source();
    id.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  return id;
}

// There is room for it in a new connection.
bool say_greeting(const std::shared_ptr<Line>& line) {
  const auto greeting = greeting_of(line->id);
  return ::send(line->descriptor(), greeting.data(), greeting.size(), MSG_NOSIGNAL) == std::ssize(greeting);
}

class TcpEndpoint final : public Endpoint {
 public:
  using Shared = std::shared_ptr<Line>;

  TcpEndpoint(Loop& loop, const TcpOptions& options) : loop_(loop), options_(options) {}
  ~TcpEndpoint() override;

  void on_frame(FrameHandler handler) override { handler_ = std::move(handler); }
  Result<std::string> listen(const std::string& address) override;
  Result<PeerId> connect(const std::string& address) override;
  void send(PeerId peer, Frame frame) override;
  void forget(PeerId peer) override;
  EndpointCounters counters() const override { return counters_; }

 private:
  struct Listener {
    explicit Listener(int descriptor) : socket(descriptor) {}
    ~Listener() {
      watch.reset();
      ::close(socket);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    const int socket;
    std::optional<Watch> watch;
    std::optional<Timer> rest;
  };

  [[nodiscard]] Shared new_line();
  void wait_to_accept(Listener& listener);
  void accept_all(Listener& listener);
  void end_silent_strangers();

  void dial(const Shared& line);
  void dialled(const Shared& line);
  void dial_again(const Shared& line);
  void connected(const Shared& line);

  void wait_to_read(const Shared& line);
  void read(const Shared& line);
  [[nodiscard]] bool greet(const Shared& line);
  void deliver(const Shared& line, Frame frame);
  void write(const Shared& line);
  void end(const Shared& line, bool refused);
  void gone(const Line& line);
  void linger(const Shared& line, TimeNs deadline);

  Loop& loop_;
  const TcpOptions options_;
  FrameHandler handler_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  // Who had connected here and spoken, and has no connection now: it may make one anew.
  struct Gone {
    std::string id;
    PeerId peer = 0;
  };

  std::unordered_map<PeerId, Shared> peers_;
  std::unordered_map<std::string, Shared> accepted_;  // have greeted, and are connected
  std::deque<Gone> gone_;                             // kGoneMax at most, the latest last
  std::set<Shared> strangers_;                        // accepted, and no greeting yet
  PeerId next_peer_ = 1;
  EndpointCounters counters_;
};

// ---- connections ------------------------------------------------------------------------------------

Result<std::string> TcpEndpoint::listen(const std::string& address) {
  RUBATO_CHECK(handler_, "listen before on_frame");
  RUBATO_ASSIGN(const sockaddr_in wanted, parse_tcp_address(address));
  RUBATO_ASSIGN(const int socket, listen_tcp(wanted));
  auto listener = std::make_unique<Listener>(socket);
  RUBATO_ASSIGN(const sockaddr_in bound, tcp_address_of(socket));
  wait_to_accept(*listener);
  listeners_.push_back(std::move(listener));
  return tcp_address_text(bound);
}

TcpEndpoint::Shared TcpEndpoint::new_line() {
  auto line = std::make_shared<Line>(loop_, options_.body_bytes_max, options_.check);
  // It lives in the line, as does the timer of one that is dialled.
  line->writes_soon = std::make_unique<Wakeup>(loop_, [this, weak = std::weak_ptr(line)] {
    if (const Shared self = weak.lock(); self && self->connected && !self->waits_to_write) write(self);
  });
  return line;
}

void TcpEndpoint::wait_to_accept(Listener& listener) {
  listener.watch.emplace(loop_, listener.socket, [this, &listener] { accept_all(listener); });
}

void TcpEndpoint::accept_all(Listener& listener) {
  end_silent_strangers();
  int socket = accept_tcp(listener.socket);
  for (; socket >= 0; socket = accept_tcp(listener.socket)) {
    const Shared line = new_line();
    line->open(socket);
    line->began = steady_now();
    strangers_.insert(line);
    connected(line);
  }
  if (socket != kNoneLeft) return;
  // Whoever waits goes on waiting, and would wake the loop again and again.
  listener.watch.reset();
  listener.rest.emplace(loop_, [this, &listener] { wait_to_accept(listener); });
  listener.rest->arm(steady_now() + kAcceptRest);
}

void TcpEndpoint::end_silent_strangers() {
  std::vector<Shared> silent;
  for (const Shared& line : strangers_)
    if (steady_now() - line->began > kGreetingPatience) silent.push_back(line);
  for (const Shared& line : silent) end(line, true);
}

Result<PeerId> TcpEndpoint::connect(const std::string& address) {
  RUBATO_CHECK(handler_, "connect before on_frame");
  RUBATO_ASSIGN(const sockaddr_in to, parse_tcp_address(address));
  const Shared line = new_line();
  line->dialled = to;
  line->id = random_id();
  line->peer = next_peer_++;
  line->retry = std::make_unique<Timer>(loop_, [this, weak = std::weak_ptr(line)] {
    if (const Shared again = weak.lock()) dial(again);
  });
  peers_.emplace(line->peer, line);
  dial(line);
  return line->peer;
}

void TcpEndpoint::dial(const Shared& line) {
  const int socket = begin_to_connect(*line->dialled);
  if (socket < 0) return dial_again(line);
  line->open(socket);
  line->wait(Line::For::kWriting, [this](const Shared& self) { dialled(self); });
}

void TcpEndpoint::dialled(const Shared& line) {
  if (!is_connected(line->descriptor()) || !say_greeting(line)) {
    line->close();
    return dial_again(line);
  }
  line->retry_ms = 0;
  connected(line);
  write(line);
}

void TcpEndpoint::dial_again(const Shared& line) {
  line->retry_ms = std::clamp(2 * line->retry_ms, kRetryMs, kRetryMaxMs);
  line->retry->arm(steady_now() + line->retry_ms * kMillisecond);
}

void TcpEndpoint::connected(const Shared& line) {
  line->connected = true;
  line->reader.restart();
  line->writer.restart();
  wait_to_read(line);
}

// The connection is over, for whatever reason; or the line, if it was accepted.
void TcpEndpoint::end(const Shared& line, bool refused) {
  if (refused) ++counters_.refused;
  if (line->reader.objection() && options_.on_objection) options_.on_objection(*line->reader.objection());
  strangers_.erase(line);
  line->close();
  if (line->dialled) return dial_again(line);
  counters_.dropped += line->writer.frames();
  line->writer.clear();
  // Whoever has greeted with its id meanwhile has taken its place.
  const auto known = accepted_.find(line->id);
  if (known == accepted_.end() || known->second != line) return;
  accepted_.erase(known);
  gone(*line);
}

// Whoever was forgotten, or never spoke, need not be known again.
void TcpEndpoint::gone(const Line& line) {
  if (line.peer == 0) return;
  peers_.erase(line.peer);
  gone_.push_back({line.id, line.peer});
  if (gone_.size() > kGoneMax) gone_.pop_front();
}

// ---- sending ----------------------------------------------------------------------------------------

void TcpEndpoint::send(PeerId peer, Frame frame) {
  const auto found = peers_.find(peer);
  const std::size_t bytes = frame.header.size() + frame.body.size();
  if (found == peers_.end() || std::cmp_greater(frame.body.size(), options_.body_bytes_max)) {
    ++counters_.dropped;
    return;
  }
  const Shared& line = found->second;
  line->writer.add(std::move(frame));
  ++counters_.frames_sent;
  counters_.bytes_sent += bytes;
  if (!line->connected || line->waits_to_write) return;
  if (bytes > kGatherBytesMax) return write(line);
  line->writes_soon->ring();
}

void TcpEndpoint::write(const Shared& line) {
  // Of a broken connection the reader learns, too: that is where it ends.
  if (line->writer.write(line->descriptor()) != FrameWriter::Wrote::kFull) return;
  line->waits_to_write = true;
  line->wait(Line::For::kWriting, [this](const Shared& self) {
    self->waits_to_write = false;
    write(self);
  });
}

void TcpEndpoint::forget(PeerId peer) {
  std::erase_if(gone_, [peer](const Gone& gone) { return gone.peer == peer; });
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  const Shared line = found->second;
  peers_.erase(found);
  line->peer = 0;
  if (!line->dialled) return;  // who speaks on it again is a new peer
  line->retry->cancel();
  line->close();
}

// ---- receiving --------------------------------------------------------------------------------------

void TcpEndpoint::wait_to_read(const Shared& line) {
  line->wait(Line::For::kReading, [this](const Shared& self) { read(self); });
}

void TcpEndpoint::read(const Shared& line) {
  const std::uint64_t life = line->life;
  std::size_t bytes = 0;
  for (int frames = 0; frames < kFramesPerTurn && bytes < kBytesPerTurn;) {
    if (line->id.empty() && !greet(line)) {
      if (line->reader.broken()) return end(line, true);
    } else if (auto frame = line->reader.next()) {
      ++frames;
      bytes += frame->body.size();
      deliver(line, std::move(*frame));
      if (line->life != life) return;  // the handler has forgotten the peer
      continue;
    } else if (line->reader.broken()) {
      return end(line, true);
    }
    switch (line->reader.fill(line->descriptor())) {
      case FrameReader::Filled::kSome:
        break;
      case FrameReader::Filled::kNothing:
        return wait_to_read(line);
      case FrameReader::Filled::kEnd:
        return end(line, line->id.empty());
    }
  }
  line->post([this](const Shared& self) { read(self); });
}

// False while the greeting of who was accepted is not there, or if it is none.
bool TcpEndpoint::greet(const Shared& line) {
  const auto id = line->reader.greeting();
  if (!id) return false;
  line->id = *id;
  strangers_.erase(line);
  if (const Shared before = std::exchange(accepted_[*id], line)) {
    // A connection made anew displaces its dead self.
    line->peer = std::exchange(before->peer, 0);
    end(before, false);
  } else if (const auto known = std::ranges::find(gone_, *id, &Gone::id); known != gone_.end()) {
    line->peer = known->peer;
    gone_.erase(known);
  }
  if (line->peer != 0) peers_[line->peer] = line;
  return true;
}

void TcpEndpoint::deliver(const Shared& line, Frame frame) {
  if (line->peer == 0) {
    line->peer = next_peer_++;
    peers_.emplace(line->peer, line);
  }
  ++counters_.frames_received;
  counters_.bytes_received += frame.header.size() + frame.body.size();
  handler_(line->peer, std::move(frame));
}

// ---- the end ----------------------------------------------------------------------------------------

TcpEndpoint::~TcpEndpoint() {
  listeners_.clear();
  const TimeNs deadline = steady_now() + options_.linger_ms * kMillisecond;
  for (const auto& [peer, line] : peers_) linger(line, deadline);
  for (const auto& [id, line] : accepted_) linger(line, deadline);
}

// Sends what waits, if the other side takes it in time.
void TcpEndpoint::linger(const Shared& line, TimeNs deadline) {
  while (!line->writer.empty() && line->socket.is_open()) {
    pollfd writable{line->descriptor(), POLLOUT, 0};
    const TimeNs left = deadline - steady_now();
    if (left <= 0 || ::poll(&writable, 1, static_cast<int>(left / kMillisecond) + 1) != 1) break;
    if (!line->connected) line->connected = is_connected(line->descriptor()) && say_greeting(line);
    if (!line->connected) break;
    if (line->writer.write(line->descriptor()) == FrameWriter::Wrote::kBroken) break;
  }
  counters_.dropped += line->writer.frames();
  line->writer.clear();
  if (line->connected) finish_sending(line->descriptor(), deadline);
  line->close();
}

}  // namespace

std::unique_ptr<Endpoint> make_tcp_endpoint(Loop& loop, const TcpOptions& options) {
  return std::make_unique<TcpEndpoint>(loop, options);
}

}  // namespace rubato::transport
