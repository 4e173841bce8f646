// Sockets between processes of one host and one user, by name: how two of them meet, hand each other descriptors,
// and learn that the other has gone. The bytes themselves go elsewhere (transport/shm/link.h).
//
// Names are of Linux's abstract namespace: no file, so nothing is left behind, whoever is killed; and who is on
// another host, or in another network namespace, finds nobody.
//
// Nothing here waits.
//
// Thread-safety: a socket belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "transport/shm/shared_memory.h"

namespace rubato::transport {

// Errors: kNetwork; `address` is what the message calls it.
[[nodiscard]] Result<Descriptor> listen_local(const std::string& name, const std::string& address);
// Nothing, if nobody waits. Errors: kRefused, where another user comes, or too few descriptors would be left to this
// process: whoever came is sent away; kNetwork: somebody waits and cannot be let in or sent away now.
[[nodiscard]] Result<std::optional<Descriptor>> accept_local(const Descriptor& listener);
// Errors: kNetwork, if nobody listens there; kRefused, if another user does, or too few descriptors would be left.
[[nodiscard]] Result<Descriptor> connect_local(const std::string& name, const std::string& address);

// One small message with descriptors.
struct LocalMessage {
  static constexpr std::size_t kDescriptorsMax = 4;
  enum class Kind : std::uint32_t {
    kHello = 1,    // who connects: the memory of the link, its doorbell
    kWelcome = 2,  // who accepts: its doorbell
    kSegment = 3,  // memory that payloads will lie in; `number` names it
    kBroken = 4,   // who says it cannot go on with this link, or make it, and reads nothing more of it
  };
  Kind kind = Kind::kHello;
  std::uint32_t number = 0;
};

// False, if it cannot be sent now, or ever.
[[nodiscard]] bool send_local(const Descriptor& socket, const LocalMessage& message,
                              const std::vector<int>& descriptors);

// The other side reads our end; ours goes on reading. False, if it has gone.
bool say_no_more(const Descriptor& socket);

struct ReceivedLocal {
  LocalMessage message;
  std::vector<Descriptor> descriptors;
};
// Nothing, if nothing came. Errors: kPeerLost, when the other side has gone; kMalformed, and nothing more will be read;
// kInternal, where no descriptor is left here for what came.
[[nodiscard]] Result<std::optional<ReceivedLocal>> receive_local(const Descriptor& socket);

}  // namespace rubato::transport
