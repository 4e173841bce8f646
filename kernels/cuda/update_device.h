// A CUDA GPU as a device for updates (kernels/update_device.h): the kernels of the update rules, on one stream.
//
// Of slices of one length there is one block more than slices: an update reads the slice's block and writes the spare
// one, and takes it for its own when the host has the version whole. So a gradient that is not finite, and a call that
// fails, leave the slice as it was. Everything that one update does is enqueued and then waited for once, also where a
// call has failed: no copy is under way to memory that its owner gives up.
//
// State of this code: it compiles and links for sm_80 and sm_90, and passes its tests on a functional fake of CUDA
// (tests/cuda_fake). It has never run on a GPU, for want of one.
//
// Thread-safety: as an UpdateDevice's.
#pragma once

#include <memory>

#include "base/result.h"
#include "kernels/update_device.h"

namespace rubato::kernels::cuda {

// The GPU with this number; several may share it, in this process or others. Errors: kDevice.
[[nodiscard]] Result<std::unique_ptr<UpdateDevice>> open_cuda_update_device(int ordinal);

}  // namespace rubato::kernels::cuda
