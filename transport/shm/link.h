// One connection of the shared-memory lane: a ring of records and a table of loans in either direction, in one piece
// of memory that both sides map, and a local socket that tells when the other side has gone.
//
// A frame is one record: its header, and either its body, or the place where the body lies in memory that the sender
// has made for it (transport/shm/shared_heap.h). Such a body is lent: the receiver reads it where it is, as a Payload
// like any other, and whoever drops the last reference to that gives it back; until then the sender keeps it, so its
// bytes do not change. A body from elsewhere that is too large for a record is cut into several.
//
// Frames that find no room wait here, in order.
//
// What comes from the other side is not trusted: a record that cannot be, or a place outside of what was shared, breaks
// the link and nothing else. So does memory that cannot be mapped here. (Who shares memory is a process of the same
// user, which may also end this one outright.) Whoever breaks a link says so to the other side, and each of them keeps
// what it has lent until the other reads nothing of it any more.
//
// Thread-safety: belongs to the endpoint's thread. Payloads received may be dropped on any thread; they keep the
// memory, and the socket, so that the sender hears of our end only when nothing of its is read any more.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/block_pool.h"
#include "base/ring.h"
#include "transport/endpoint.h"
#include "transport/shm/doorbell.h"
#include "transport/shm/loans.h"
#include "transport/shm/local_socket.h"
#include "transport/shm/ring.h"
#include "transport/shm/shared_heap.h"

namespace rubato::transport {

// What both sides map, and what keeps it.
struct LinkMemory {
  static constexpr std::size_t kLoans = 4096;
  static constexpr std::size_t kRingBytes = std::size_t{128} << 10;

  struct Lane {
    RingControl control;
    LoanWord loans[kLoans];  // of what is lent by those who write this ring
    std::byte data[kRingBytes];
  };
  struct Layout {
    Lane from_connector, from_acceptor;
  };

  SharedMemory shared;  // a Layout
  Descriptor socket;

  [[nodiscard]] Layout& layout() const { return *reinterpret_cast<Layout*>(shared.bytes().data()); }
  // Errors: kMalformed, where it has another size.
  [[nodiscard]] Status check() const;
};

class Link {
 public:
  // Below this a body is copied: that costs less than a loan.
  static constexpr std::size_t kLendBytesMin = 1024;

  enum class Side { kConnector, kAcceptor };
  // `heap` outlives what is sent; without one, bodies are copied.
  Link(std::shared_ptr<LinkMemory> memory, Side side, Doorbell peer, const SharedHeap* heap);

  // Who sends owes the other side a wake-up where it sleeps, and pays it with wake(): once for several frames, but
  // before it waits for anything, or works for long.
  void send(Frame frame);
  void wake();
  // Gives the room of what was received back, sends what waits, as far as there is room, and lets go of what was given
  // back. Cheap.
  void tend();
  // The next frame; nothing if there is none, or the link is broken.
  [[nodiscard]] std::optional<Frame> receive();

  // What came over the socket. False: the other side has gone, or reads nothing of ours any more.
  [[nodiscard]] bool read_socket();
  // See RingReader.
  [[nodiscard]] bool ready() const { return !broken_ && reader_.ready(); }
  [[nodiscard]] bool fall_asleep() { return broken_ || reader_.fall_asleep(); }
  void stay_awake() { reader_.stay_awake(); }

  // It cannot go on; receive() returns nothing for good.
  [[nodiscard]] const std::optional<Error>& broken() const { return broken_; }
  // Whether that is for the other side's sake, who has said so.
  [[nodiscard]] bool broken_there() const { return broken_there_; }
  [[nodiscard]] bool gone() const { return gone_; }
  // Sends nothing more, and reads nothing more but what was received: when the last of that is dropped, the other side
  // hears of it. Afterwards the link is there for what is lent alone. How many frames are lost, which waited for room.
  [[nodiscard]] std::size_t leave();
  // The same of one that is broken, and tells the other side so.
  [[nodiscard]] std::size_t part();
  [[nodiscard]] std::size_t lent() const { return loans_.outstanding(); }

 private:
  struct Record;
  struct Outgoing {
    Frame frame;
    std::size_t sent = 0;  // of the body
    bool begun = false;
  };
  struct Reading;
  // Of the other side: bodies lie there, and are given back by way of the link, so both stay while one is read.
  struct Segment {
    SharedMemory memory;
    std::shared_ptr<const Reading> reading;
  };
  struct Borrowed;

  [[nodiscard]] bool put(Outgoing& outgoing);
  [[nodiscard]] std::optional<bool> put_lent(Frame& frame);
  [[nodiscard]] bool put_piece(Outgoing& outgoing);
  [[nodiscard]] bool announce(std::uint32_t segment);
  void publish();
  void give_room();
  [[nodiscard]] std::optional<Frame> take(std::span<const std::byte> record);
  [[nodiscard]] std::optional<Payload> borrow(const Record& record);
  void heed(ReceivedLocal local);
  void break_link(std::string why);

  const std::shared_ptr<LinkMemory> memory_;
  LinkMemory::Lane& out_;
  LinkMemory::Lane& in_;
  const Doorbell peer_;
  const SharedHeap* const heap_;

  RingWriter writer_;
  Loans loans_;
  Ring<Outgoing> waiting_;
  std::uint32_t announced_ = 0;  // segments of ours that the other side knows: those below
  bool owes_wake_ = false;

  RingReader reader_;
  BlockPool blocks_{256};                                     // of headers, and of what keeps borrowed bodies
  BlockPool bodies_{kLendBytesMin + BlockPool::kCountBytes};  // of those that are copied because they are small
  std::map<std::uint32_t, std::shared_ptr<const Segment>> segments_;
  std::shared_ptr<const Reading> reading_;
  Frame partial_;  // its body is still coming
  std::vector<std::byte> pieces_;
  std::uint64_t pieces_expected_ = 0;
  bool gone_ = false, broken_there_ = false;
  std::optional<Error> broken_;
};

}  // namespace rubato::transport
