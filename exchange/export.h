// Weights for PyTorch: `torch_module.load_state_dict(safetensors.torch.load_file(path), strict=True)` takes them
// (docs/models.md says which module).
//
// Thread-safety: pure but for the file.
#pragma once

#include <string>

#include "base/result.h"
#include "exchange/subject.h"

namespace rubato::exchange {

// With the job in the file's metadata, so that the file says what it is of. Errors: kStorage.
[[nodiscard]] Status export_weights(const Subject& subject, const std::string& to);

}  // namespace rubato::exchange
