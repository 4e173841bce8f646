#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace rubato {
namespace {

TEST(Sha256, MatchesThePublishedDigests) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, DoesNotCareHowBytesArrive) {
  const std::string text(1000, 'x');
  Sha256 hash;
  for (std::size_t at = 0; at < text.size(); at += 7) {
    hash.update(std::as_bytes(std::span(text).subspan(at, std::min<std::size_t>(7, text.size() - at))));
  }
  EXPECT_EQ(hash.hex(), sha256_hex(text));
}

TEST(Xxh3, MatchesThePublishedDigestAndTakesASeed) {
  EXPECT_EQ(xxh3({}), 0x2D06800538D394C2u);
  EXPECT_NE(xxh3({}, 1), xxh3({}));
}

}  // namespace
}  // namespace rubato
