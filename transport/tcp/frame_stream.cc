#include "transport/tcp/frame_stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace rubato::transport {
namespace {

static_assert(std::endian::native == std::endian::little, "lengths are copied as they lie");

constexpr char kMagic[] = {'R', 'B', 'T', '0', 't', 'c', 'p', '1'};
constexpr std::size_t kLengthsBytes = 2 * sizeof(std::uint64_t);
constexpr std::size_t kBodyAlignment = 64;
// Parts of so many frames go to the kernel at once.
constexpr std::size_t kFramesAtOnce = 32;

// Not filled with zeros first: it is written in one pass.
std::shared_ptr<std::byte> new_body(std::size_t bytes, BlockPool& counts) {
  constexpr std::align_val_t kAlign{kBodyAlignment};
  auto* memory = static_cast<std::byte*>(::operator new(bytes, kAlign));
  return counts.share(memory, [](std::byte* done) { ::operator delete (done, std::align_val_t{kBodyAlignment}); });
}

// What the kernel is to gather, behind the first `skip` bytes.
struct Parts {
  std::array<iovec, 3 * kFramesAtOnce> part;
  std::size_t count = 0, skip = 0;

  void add(std::span<const std::byte> bytes) {
    const std::size_t skipped = std::min(skip, bytes.size());
    skip -= skipped;
    const auto rest = bytes.subspan(skipped);
    // The kernel takes what it sends as mutable, and does not write to it.
    if (!rest.empty()) part[count++] = {const_cast<std::byte*>(rest.data()), rest.size()};
  }
};

}  // namespace

std::array<std::byte, kGreetingBytes> greeting_of(const std::string& id) {
  RUBATO_CHECK(id.size() == kGreetingIdBytes);
  std::array<std::byte, kGreetingBytes> bytes{};
  std::memcpy(bytes.data(), kMagic, sizeof(kMagic));
  std::ranges::copy(std::as_bytes(std::span(id)), bytes.begin() + sizeof(kMagic));
  return bytes;
}

// ---- reading ----------------------------------------------------------------------------------------

FrameReader::Filled FrameReader::fill(int socket) {
  // What is not taken begins at the front, so that there is room behind it.
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  iovec parts[2];
  int count = 0;
  const std::size_t wanted = open_ ? open_->size - open_->filled : 0;
  if (wanted > 0) parts[count++] = {open_->body.get() + open_->filled, wanted};
  parts[count++] = {buffer_.data() + end_, buffer_.size() - end_};
  ssize_t size = 0;
  while ((size = ::readv(socket, parts, count)) < 0)
    if (errno != EINTR) return errno == EAGAIN || errno == EWOULDBLOCK ? Filled::kNothing : Filled::kEnd;
  if (size == 0) return Filled::kEnd;
  const std::size_t into_body = std::min(static_cast<std::size_t>(size), wanted);
  if (open_) open_->filled += into_body;
  end_ += static_cast<std::size_t>(size) - into_body;
  return Filled::kSome;
}

std::optional<std::string> FrameReader::greeting() {
  const std::span<const std::byte> bytes = come();
  if (std::memcmp(bytes.data(), kMagic, std::min(bytes.size(), sizeof(kMagic))) != 0) broken_ = true;
  if (broken_ || bytes.size() < kGreetingBytes) return std::nullopt;
  std::string id(reinterpret_cast<const char*>(bytes.data()) + sizeof(kMagic), kGreetingIdBytes);
  take(kGreetingBytes);
  return id;
}

std::optional<Frame> FrameReader::next() {
  if (broken_) return std::nullopt;
  if (open_) return open_->filled == open_->size ? finish() : std::nullopt;
  const std::span<const std::byte> bytes = come();
  if (bytes.size() < kLengthsBytes) return std::nullopt;
  std::uint64_t header = 0, body = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  std::memcpy(&body, bytes.data() + sizeof(header), sizeof(body));
  if (header > kFrameHeaderBytesMax || body > body_bytes_max_) {
    broken_ = true;
    return std::nullopt;
  }
  if (bytes.size() - kLengthsBytes < header) return std::nullopt;
  if (body > kUnaskedBodyBytesMax && check_) {
    if (const Status may = check_(bytes.subspan(kLengthsBytes, header), body); !may.ok()) {
      objection_ = may.error();
      broken_ = true;
      return std::nullopt;
    }
  }
  Payload head = blocks_.copy_of(bytes.subspan(kLengthsBytes, header));
  const auto here = bytes.subspan(kLengthsBytes + header);
  if (body <= std::min<std::uint64_t>(here.size(), kShortBytesMax)) {
    Frame frame{std::move(head), body == 0 ? Payload() : blocks_.copy_of(here.first(body))};
    take(kLengthsBytes + header + body);
    return frame;
  }
  open_ = Open{std::move(head), new_body(body, blocks_), body, 0};
  open_->filled = std::min(here.size(), open_->size);
  if (open_->filled > 0) std::memcpy(open_->body.get(), here.data(), open_->filled);
  take(kLengthsBytes + header + open_->filled);
  return open_->filled == open_->size ? finish() : std::nullopt;
}

std::optional<Frame> FrameReader::finish() {
  const std::span<const std::byte> body(open_->body.get(), open_->size);
  Frame frame{std::move(open_->header), Payload(std::move(open_->body), body)};
  open_.reset();
  return frame;
}

void FrameReader::take(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

void FrameReader::restart() {
  begin_ = end_ = 0;
  open_.reset();
  objection_.reset();
  broken_ = false;
}

// ---- writing ----------------------------------------------------------------------------------------

void FrameWriter::add(Frame frame) {
  RUBATO_CHECK(frame.header.size() <= kFrameHeaderBytesMax, "a header of {} bytes", frame.header.size());
  const std::array<std::uint64_t, 2> lengths = {frame.header.size(), frame.body.size()};
  const auto place =
      std::ranges::upper_bound(waiting_.begin() + (sent_ > 0 ? 1 : 0), waiting_.end(), frame.turn, {}, &Outgoing::turn);
  waiting_.insert(place, Outgoing{lengths, std::move(frame)});
}

void FrameWriter::restart() {
  if (std::exchange(sent_, 0) == 0) return;
  Outgoing begun = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_.insert(std::ranges::lower_bound(waiting_, begun.turn(), {}, &Outgoing::turn), std::move(begun));
}

FrameWriter::Wrote FrameWriter::write(int socket) {
  while (!waiting_.empty()) {
    Parts parts;
    parts.skip = sent_;
    for (std::size_t i = 0; i < std::min(waiting_.size(), kFramesAtOnce); ++i) {
      const Outgoing& outgoing = waiting_[i];
      parts.add(std::as_bytes(std::span(outgoing.lengths)));
      parts.add(outgoing.frame.header.bytes());
      parts.add(outgoing.frame.body.bytes());
    }
    msghdr message{};
    message.msg_iov = parts.part.data();
    message.msg_iovlen = parts.count;
    const ssize_t size = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Wrote::kFull : Wrote::kBroken;
    advance(static_cast<std::size_t>(size));
  }
  return Wrote::kAll;
}

void FrameWriter::advance(std::size_t bytes) {
  sent_ += bytes;
  while (!waiting_.empty() && sent_ >= waiting_.front().bytes()) {
    sent_ -= waiting_.front().bytes();
    waiting_.pop_front();  // and lets go of what it referred to
  }
}

void FrameWriter::clear() {
  waiting_.clear();
  sent_ = 0;
}

}  // namespace rubato::transport
