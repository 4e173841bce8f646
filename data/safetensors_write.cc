#include <bit>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "data/safetensors.h"

namespace rubato::data {
namespace {

static_assert(std::endian::native == std::endian::little, "values go to the file as they lie in memory");

const char* dtype_of(const TensorView& tensor) { return tensor.values.index() == 0 ? "F32" : "I64"; }

std::span<const std::byte> bytes_of(const TensorView& tensor) {
  return std::visit([](const auto& values) { return std::as_bytes(values); }, tensor.values);
}

std::string header_of(std::span<const TensorView> tensors, const Metadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    const std::uint64_t end = offset + bytes_of(tensor).size();
    header[tensor.name] = {{"dtype", dtype_of(tensor)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  // Replaces what is no UTF-8, which dump would throw at.
  std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

void check_tensors(std::span<const TensorView> tensors) {
  std::set<std::string> names{"__metadata__"};
  for (const TensorView& tensor : tensors) {
    RUBATO_CHECK(names.insert(tensor.name).second, "two tensors named {}", tensor.name);
    std::uint64_t elements = 1;
    for (std::int64_t extent : tensor.shape) elements *= static_cast<std::uint64_t>(extent);
    const std::size_t values = std::visit([](const auto& span) { return span.size(); }, tensor.values);
    RUBATO_CHECK(elements == values, "{} has {} values", tensor.name, values);
  }
}

}  // namespace

Status write_safetensors(const std::string& path, std::span<const TensorView> tensors, const Metadata& metadata) {
  check_tensors(tensors);
  const std::string header = header_of(tensors, metadata);
  const std::uint64_t length = header.size();
  RUBATO_ASSIGN(AtomicFile file, AtomicFile::create(path));
  RUBATO_TRY(file.write(std::as_bytes(std::span(&length, 1))));
  RUBATO_TRY(file.write(std::as_bytes(std::span(header))));
  for (const TensorView& tensor : tensors) RUBATO_TRY(file.write(bytes_of(tensor)));
  return file.commit();
}

}  // namespace rubato::data
