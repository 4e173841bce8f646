// What one worker keeps from step to step, beside its weights: its inner optimizer's state in local:H, its chains where
// a model has such. Nothing before its first step; gone with the worker.
//
// Thread-safety: plain values, of whoever computes that worker's steps.
#pragma once

#include "model/chains.h"
#include "worker/inner_optimizer.h"

namespace rubato::worker {

struct WorkerState {
  InnerState inner;
  model::Chains chains;
};

}  // namespace rubato::worker
