#include "transport/shm/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace rubato::transport {
namespace {

constexpr std::uint64_t kBodyBytesMax = std::uint64_t{1} << 30;  // as over sockets

enum class Kind : std::uint32_t { kWhole = 1, kLent = 2, kBegins = 3, kGoesOn = 4 };

std::size_t padded(std::size_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace

// Shared by all who read what the other side has lent: when the last of them ends, the other side hears of it.
struct Link::Reading {
  std::shared_ptr<LinkMemory> link;

  explicit Reading(std::shared_ptr<LinkMemory> memory) : link(std::move(memory)) {}
  ~Reading() { (void)say_no_more(link->socket); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
};

// What keeps a borrowed body.
struct Link::Borrowed {
  std::shared_ptr<const Segment> segment;
  LoanWord* word;

  Borrowed(std::shared_ptr<const Segment> lies_in, LoanWord* loan) : segment(std::move(lies_in)), word(loan) {}
  ~Borrowed() { give_back(*word); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
};

// Stands before the header of a frame, and that, padded to 8 bytes, before the body.
struct Link::Record {
  Kind kind = Kind::kWhole;
  std::uint32_t header_bytes = 0;
  std::uint64_t body_bytes = 0;  // of the frame
  std::uint32_t segment = 0, loan = 0;
  std::uint64_t offset = 0;
};

Status LinkMemory::check() const {
  if (shared.bytes().size() == sizeof(Layout)) return {};
  return Error{Cause::kMalformed,
               fmt::format("a link of {} bytes, this program's have {}", shared.bytes().size(), sizeof(Layout))};
}

Link::Link(std::shared_ptr<LinkMemory> memory, Side side, Doorbell peer, const SharedHeap* heap)
    : memory_(std::move(memory)),
      out_(side == Side::kConnector ? memory_->layout().from_connector : memory_->layout().from_acceptor),
      in_(side == Side::kConnector ? memory_->layout().from_acceptor : memory_->layout().from_connector),
      peer_(std::move(peer)),
      heap_(heap),
      writer_(out_.control, out_.data),
      loans_(out_.loans),
      reader_(in_.control, in_.data),
      reading_(std::make_shared<const Reading>(memory_)) {}

// ---- sending ----------------------------------------------------------------------------------------

void Link::send(Frame frame) {
  loans_.collect();
  Outgoing outgoing{std::move(frame)};
  if (!waiting_.empty() || !put(outgoing)) waiting_.push_back(std::move(outgoing));
}

void Link::tend() {
  give_room();
  loans_.search();
  while (!waiting_.empty() && put(waiting_.front())) std::ignore = waiting_.pop_front();
}

bool Link::put(Outgoing& outgoing) {
  if (!outgoing.begun && outgoing.frame.body.size() >= kLendBytesMin)
    if (const auto put = put_lent(outgoing.frame)) return *put;
  do {
    if (!put_piece(outgoing)) return false;
  } while (outgoing.sent < outgoing.frame.body.size());
  return true;
}

// False if there is no room; nothing if this body has to be copied. The body of a frame that was sent is gone from it.
std::optional<bool> Link::put_lent(Frame& frame) {
  const auto place = heap_ == nullptr ? std::nullopt : heap_->find(frame.body.bytes());
  if (!place || !announce(place->segment)) return std::nullopt;
  const std::size_t body_bytes = frame.body.size();
  const auto loan = loans_.lend(std::move(frame.body));
  if (!loan) return std::nullopt;
  const Record head{.kind = Kind::kLent,
                    .header_bytes = static_cast<std::uint32_t>(frame.header.size()),
                    .body_bytes = body_bytes,
                    .segment = place->segment,
                    .loan = *loan,
                    .offset = place->offset};
  const std::span<std::byte> record = writer_.reserve(sizeof(head) + frame.header.size());
  if (record.empty()) {
    frame.body = loans_.take_back(*loan);
    return false;
  }
  std::memcpy(record.data(), &head, sizeof(head));
  std::ranges::copy(frame.header.bytes(), record.begin() + sizeof(head));
  publish();
  return true;
}

// The header, and as much of the body as a record takes; or more of the body. False if there is no room.
bool Link::put_piece(Outgoing& outgoing) {
  const Frame& frame = outgoing.frame;
  const std::size_t before = sizeof(Record) + (outgoing.begun ? 0 : padded(frame.header.size()));
  RUBATO_CHECK(before < writer_.record_max(), "a header of {} bytes", frame.header.size());
  const std::size_t left = frame.body.size() - outgoing.sent;
  const std::size_t piece = std::min(left, writer_.record_max() - before);
  const Kind kind = outgoing.begun ? Kind::kGoesOn : piece == left ? Kind::kWhole : Kind::kBegins;
  const Record head{.kind = kind,
                    .header_bytes = outgoing.begun ? 0 : static_cast<std::uint32_t>(frame.header.size()),
                    .body_bytes = frame.body.size()};
  const std::span<std::byte> record = writer_.reserve(before + piece);
  if (record.empty()) return false;
  std::memcpy(record.data(), &head, sizeof(head));
  if (!outgoing.begun) std::ranges::copy(frame.header.bytes(), record.begin() + sizeof(head));
  std::ranges::copy(frame.body.bytes().subspan(outgoing.sent, piece), record.subspan(before).begin());
  publish();
  outgoing.sent += piece;
  outgoing.begun = true;
  return true;
}

// Before the first record that names a segment: so the other side finds it when it reads that.
bool Link::announce(std::uint32_t segment) {
  while (announced_ <= segment) {
    const LocalMessage message{LocalMessage::Kind::kSegment, announced_};
    if (!send_local(memory_->socket, message, {heap_->descriptor(announced_).number()})) return false;
    ++announced_;
  }
  return true;
}

void Link::publish() { owes_wake_ |= writer_.publish(); }

void Link::wake() {
  if (std::exchange(owes_wake_, false)) peer_.ring();
}

// ---- receiving --------------------------------------------------------------------------------------

std::optional<Frame> Link::receive() {
  while (!broken_) {
    const std::span<const std::byte> record = reader_.look();
    if (reader_.broken()) break_link("a ring whose records do not fit");
    if (record.empty()) break;
    std::optional<Frame> frame = take(record);
    reader_.take();
    if (frame) return frame;
  }
  give_room();
  return std::nullopt;
}

void Link::give_room() {
  if (reader_.give_room()) peer_.ring();
}

// Nothing, if the frame goes on in another record, or the link is broken.
std::optional<Frame> Link::take(std::span<const std::byte> record) {
  Record head;
  if (record.size() < sizeof(head)) return break_link("a record without a head"), std::nullopt;
  std::memcpy(&head, record.data(), sizeof(head));
  record = record.subspan(sizeof(head));
  if (head.header_bytes > record.size() || head.body_bytes > kBodyBytesMax)
    return break_link("a frame larger than frames are"), std::nullopt;
  const std::span<const std::byte> header = record.first(head.header_bytes);
  const std::span<const std::byte> rest = record.subspan(std::min(padded(head.header_bytes), record.size()));
  switch (head.kind) {
    case Kind::kLent: {
      std::optional<Payload> body = borrow(head);
      if (!body) return std::nullopt;
      return Frame{blocks_.copy_of(header), std::move(*body)};
    }
    case Kind::kWhole:
      if (rest.size() != head.body_bytes || pieces_expected_ > 0) break;
      return Frame{blocks_.copy_of(header), rest.empty() ? Payload() : bodies_.copy_of(rest)};
    case Kind::kBegins:
      if (rest.size() >= head.body_bytes || pieces_expected_ > 0) break;
      partial_.header = blocks_.copy_of(header);
      pieces_expected_ = head.body_bytes;
      pieces_.assign(rest.begin(), rest.end());
      return std::nullopt;
    case Kind::kGoesOn:
      if (pieces_expected_ == 0 || rest.empty() || rest.size() > pieces_expected_ - pieces_.size()) break;
      pieces_.insert(pieces_.end(), rest.begin(), rest.end());
      if (pieces_.size() < pieces_expected_) return std::nullopt;
      pieces_expected_ = 0;
      return Frame{std::exchange(partial_.header, {}), Payload::of(std::exchange(pieces_, {}))};
  }
  return break_link("a record that does not follow from those before it"), std::nullopt;
}

std::optional<Payload> Link::borrow(const Record& record) {
  auto found = segments_.find(record.segment);
  if (found == segments_.end()) {
    gone_ |= !read_socket();
    found = segments_.find(record.segment);
  }
  if (found == segments_.end()) return break_link("a body in memory that was never shared"), std::nullopt;
  const std::span<const std::byte> bytes = found->second->memory.bytes();
  const std::size_t size = bytes.size();
  if (record.loan >= LinkMemory::kLoans || record.offset % alignof(std::uint64_t) != 0 || record.offset > size ||
      record.body_bytes > size - record.offset)
    return break_link("a body outside of the memory that was shared"), std::nullopt;
  auto owner = blocks_.make<const Borrowed>(found->second, &in_.loans[record.loan]);
  return Payload(std::move(owner),
                 bytes.subspan(static_cast<std::size_t>(record.offset), static_cast<std::size_t>(record.body_bytes)));
}

bool Link::read_socket() {
  while (!gone_) {
    Result<std::optional<ReceivedLocal>> received = receive_local(memory_->socket);
    if (received.ok() && !received->has_value()) break;
    if (received.ok())
      heed(std::move(**received));
    else if (received.error().cause == Cause::kPeerLost)
      gone_ = true;
    else
      break_link(received.error().message);
  }
  return !gone_;
}

void Link::heed(ReceivedLocal local) {
  if (local.message.kind == LocalMessage::Kind::kBroken) {
    broken_there_ = true;
    return break_link("the process at the other end cannot go on with it, and its log says why");
  }
  if (broken_) return;  // all that counts now is when the other side goes
  if (local.message.kind != LocalMessage::Kind::kSegment || local.descriptors.size() != 1 ||
      local.message.number >= SharedHeap::kSegmentsMax)
    return break_link("a message between links that is none");
  auto segment = SharedMemory::map(std::move(local.descriptors.front()), SharedMemory::Access::kRead);
  if (!segment.ok()) return break_link(segment.error().message);
  segments_[local.message.number] = std::make_shared<const Segment>(Segment{std::move(*segment), reading_});
}

void Link::break_link(std::string why) {
  if (!broken_) broken_ = Error{Cause::kMalformed, std::move(why)};
}

std::size_t Link::part() {
  // Where that finds no room, the other side still sees the end of the socket, tries again, and is told then.
  if (!broken_there_) (void)send_local(memory_->socket, {LocalMessage::Kind::kBroken}, {});
  return leave();
}

std::size_t Link::leave() {
  break_link("it was left");
  segments_.clear();
  reading_.reset();
  loans_.collect();
  return std::exchange(waiting_, {}).size();
}

}  // namespace rubato::transport
