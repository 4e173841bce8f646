// What passes between a worker's client (protocol, one loop thread) and its trainer (gradients, one
// compute thread). In a process the two meet in bounded queues; in the simulator they are called in turn.
//
// Thread-safety: plain values.
#pragma once

#include <variant>
#include <vector>

#include "protocol/messages.h"

namespace rubato::worker {

// ---- client -> trainer -------------------------------------------------------------------------------

// Compute these nodes of this step. The weights of the step follow, slice by slice, unless the trainer
// has them: a second order for the same clock adds nodes of a worker that died, on the same weights.
struct ComputeStep {
  protocol::StepGrant step;   // `nodes` are those of this order
  protocol::BatchRange next;  // a hint of what comes after
  bool more_of_same = false;  // the weights of this clock are there already
};

struct SliceWeights {
  Clock clock = 0;
  SliceId slice = 0;
  Version version = 0;
  Payload weights;
};

struct EvaluateWeights {
  protocol::Evaluate order;
  std::vector<Payload> slices;  // by slice id
};

struct StopComputing {};

using ComputeOrder = std::variant<ComputeStep, SliceWeights, EvaluateWeights, StopComputing>;

// ---- trainer -> client -------------------------------------------------------------------------------

// The gradient of one slice, summed over the samples of one node; nothing where it had no samples, or the slice is
// frozen. Or, after local steps, how far they took the slice: the weights pulled minus those that it has now. The bytes
// stay as they are until the client lets go of them.
struct SliceGradient {
  Clock clock = 0;
  SliceId slice = 0;
  protocol::LeafNode node;
  std::uint32_t samples = 0;
  Payload gradient;
  std::uint32_t local_steps = 0;  // of a delta; 0: it is a gradient
};

// All of an order's gradients were handed over.
struct StepComputed {
  Clock clock = 0;
  std::uint64_t samples = 0;
  double correct = 0.0;  // model::LeafStats
  double loss_sum = 0.0;
  std::uint64_t blocked_ns = 0;  // of the step, waiting for weights
  std::uint64_t compute_ns = 0;  // of the step, doing anything else; in the simulator real time
};

// A sign of life: a step takes long, and goes on.
struct StillComputing {};

struct Evaluated {
  protocol::EvaluationDone done;
};

struct ComputeFailed {
  Error error;
};

using ComputeReport = std::variant<SliceGradient, StepComputed, StillComputing, Evaluated, ComputeFailed>;

}  // namespace rubato::worker
