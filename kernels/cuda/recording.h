// What a device has enqueued on its streams, taken down as a CUDA graph, to be launched in one call.
//
//   RUBATO_TRY(begin_recording(compute, copies));
//   ... kernels, copies from and to pinned memory, marks ...
//   RUBATO_ASSIGN(auto calls, end_recording(compute, copies));   // whatever became of what is between
//   RUBATO_TRY(calls->replay());
//
// Nothing is done before it is replayed; whoever waits in between breaks it. State of this code: it has never run on a
// GPU; tests/cuda_fake has the rules of capture.
//
// Thread-safety: as a Device's.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/cuda/copy_streams.h"
#include "kernels/cuda/cuda_check.h"

namespace rubato::kernels::cuda {

// Both streams of copies are a part of it. Errors: kDevice; then nothing is recorded, and nothing is to be ended.
[[nodiscard]] Status begin_recording(const Stream& compute, CopyStreams& copies);
// The stream must outlive it. Errors: kDevice; then nothing is recorded.
[[nodiscard]] Result<std::unique_ptr<Recording>> end_recording(const Stream& compute, CopyStreams& copies);

}  // namespace rubato::kernels::cuda
