// Weights in the safetensors format (https://github.com/huggingface/safetensors), which PyTorch reads
// with `safetensors.torch.load_file`:
//
//   8 bytes   length N of the header, little-endian
//   N bytes   JSON: {"name": {"dtype": "F32", "shape": [10, 128], "data_offsets": [0, 5120]}, ...},
//             and "__metadata__": text to text; padded with spaces so that values start at 8 bytes
//   the rest  values, little-endian, row-major, without holes, in the order of their offsets
//
// Written are F32 and I64. Read are F32, F64, F16 and BF16, all as float; of a tensor of another type only that it is
// there. The writer replaces a file whole or not at all; the reader trusts nothing that the header says.
//
// Thread-safety: pure functions over files.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace rubato::data {

using Metadata = std::map<std::string, std::string>;

struct TensorView {
  std::string name;
  std::vector<std::int64_t> shape;
  std::variant<std::span<const float>, std::span<const std::int64_t>> values;
};

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;  // none where the type is not of floats
  std::string dtype = "F32";  // as the file has it
  [[nodiscard]] bool of_floats() const { return dtype == "F32" || dtype == "F64" || dtype == "F16" || dtype == "BF16"; }
  [[nodiscard]] TensorView view() const { return {name, shape, std::span<const float>(values)}; }
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

struct TensorFile {
  std::vector<Tensor> tensors;  // in the order of their values in the file, which is the writer's
  Metadata metadata;
};

// Names must be distinct and shapes must fit their values. Errors: kStorage; the old file stays.
[[nodiscard]] Status write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                                       const Metadata& metadata = {});

// Errors: kData, naming the file, the tensor, what was expected and found.
[[nodiscard]] Result<TensorFile> read_safetensors(const std::string& path);
// `name` stands for the path in messages.
[[nodiscard]] Result<TensorFile> parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

}  // namespace rubato::data
