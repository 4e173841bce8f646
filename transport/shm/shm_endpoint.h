// An Endpoint between processes of one host and one user, for "shm://NAME": frames go through rings in shared memory,
// and bodies that lie in `heap` are read where they lie.
//
// NAME is of Linux's abstract namespace (transport/shm/local_socket.h). One doorbell wakes an endpoint for all its
// links. A reader that waits for an answer may look again for `spin`, between whatever else its loop has to do, before
// it sleeps: a wake-up costs tens of microseconds, a look less than one. Whether it pays is learned
// (transport/shm/patience.h). With 0 it sleeps at once.
//
// A connection is given up (Endpoint::on_given_up) where it cannot be made although somebody listens, and where its
// link breaks between two who live: both sides are told, a side that has not heard a word yet with peer 0. Where the
// other side has gone, whoever connected tries again for ever; who returns and makes no link is given up as before.
//
// On destruction what the other side has not read yet is still there for it, but what waits for room is lost.
#pragma once

#include <memory>

#include "transport/endpoint.h"
#include "transport/loop.h"
#include "transport/shm/shared_heap.h"

namespace rubato::transport {

struct ShmOptions {
  std::shared_ptr<const SharedHeap> heap;  // may be nothing: then bodies are copied
  TimeNs spin = 0;
};

// Errors: kInternal, out of descriptors.
[[nodiscard]] Result<std::unique_ptr<Endpoint>> make_shm_endpoint(Loop& loop, ShmOptions options = {});

// Whether somebody of this host and user listens there. Errors: kNetwork, kRefused, with the reason.
[[nodiscard]] Status shm_reachable(const std::string& address);

}  // namespace rubato::transport
