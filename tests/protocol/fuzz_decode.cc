// libFuzzer target for decode(). Configure with -DCMAKE_CXX_COMPILER=clang++-14 -DRUBATO_FUZZ=ON
// -DRUBATO_SANITIZE=address,undefined,fuzzer-no-link; run bin/protocol_fuzz_decode -max_len=4096.
//
// The input is a header's first bytes and a body. What would only stop a fuzzer (magic, version, job,
// lengths, checksums) is put right, so that it gets to the fields.
#include <cstdlib>

#include "tests/protocol/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rubato;
  using namespace rubato::protocol;
  if (size < kHeaderBytes) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  HeaderBytes header;
  std::memcpy(header.data(), bytes.data(), kHeaderBytes);
  std::vector<std::byte> body(bytes.begin() + kHeaderBytes, bytes.end());

  const HeaderBytes model = encode_header({.job_id = test::kJob});
  const std::uint64_t length = body.size(), sum = 0;
  std::memcpy(header.data(), model.data(), 8);
  std::memcpy(header.data() + 16, model.data() + 16, 8);
  std::memcpy(header.data() + 64, &length, sizeof(length));
  std::memcpy(header.data() + 160, &sum, sizeof(sum));
  test::seal(header);

  const transport::Frame frame{Payload::copy_of(header), Payload::of(std::move(body))};
  const auto decoded = decode(frame, test::kJob);
  if (!decoded.ok()) return 0;
  const transport::Frame again =
      encode(test::stamp(decoded->header.dtype), decoded->body, decoded->behind ? &*decoded->behind : nullptr);
  if (!test::same(again.body, frame.body) || !decode(again, test::kJob).ok()) std::abort();
  return 0;
}
