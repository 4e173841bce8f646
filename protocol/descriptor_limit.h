// Whether this process may have as many file descriptors as its part in a job takes.
//
// libzmq ends a process that is out of them, in the middle of whatever it does, with a line of its own source. So it is
// asked beforehand, where it can be said what to do.
//
// Thread-safety: pure functions, but for the process's own limit.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "base/job.h"

namespace rubato::protocol {

// Open at once, over sockets; shared memory takes more only where enough is left (transport/shm/local_socket.h).
[[nodiscard]] std::uint64_t descriptors_needed(const Job& job, NodeId node);

// Raises the limit as far as it may be raised. Errors: kUsage, where that is less than needed.
[[nodiscard]] Status check_descriptors(const Job& job, NodeId node);

}  // namespace rubato::protocol
