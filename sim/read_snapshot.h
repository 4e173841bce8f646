// A fixed snapshot, put together from the slices that the evaluator has pulled.
//
// Thread-safety: a pure function.
#pragma once

#include "protocol/manifest.h"
#include "sim/sim_result.h"
#include "worker/compute_port.h"

namespace rubato::sim {

[[nodiscard]] ReadSnapshot read_snapshot(const worker::EvaluateWeights& read, const protocol::Manifest& manifest,
                                         const protocol::RoutingTable& routing);

}  // namespace rubato::sim
