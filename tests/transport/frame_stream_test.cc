// The order in which frames go that wait for one connection.
#include "transport/tcp/frame_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace rubato::transport {
namespace {

using testing::ElementsAre;

constexpr std::size_t kLarge = 1 << 20;  // more than a socket takes at once

Frame frame(const std::string& name, std::uint32_t turn, std::size_t body_bytes = 0) {
  const std::vector<std::byte> body(body_bytes);
  return {Payload::copy_of(std::as_bytes(std::span(name))), Payload::copy_of(body), turn};
}

class FrameStream : public testing::Test {
 protected:
  FrameStream() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets_), 0); }
  ~FrameStream() override {
    for (const int socket : sockets_) ::close(socket);
  }
  FrameWriter::Wrote write() { return writer_.write(sockets_[0]); }
  // All that is written from now on, by name.
  std::vector<std::string> names() {
    std::vector<std::string> found;
    for (int idle = 0; idle < 2;) {
      EXPECT_NE(write(), FrameWriter::Wrote::kBroken);
      idle = reader_.fill(sockets_[1]) == FrameReader::Filled::kSome ? 0 : idle + 1;
      while (const auto next = reader_.next()) {
        const auto bytes = next->header.bytes();
        found.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      }
    }
    return found;
  }

  int sockets_[2] = {-1, -1};
  FrameWriter writer_;
  FrameReader reader_{2 * kLarge};
};

TEST_F(FrameStream, OfOneTurnFramesGoAsTheyCame) {
  for (const char* name : {"a", "b", "c"}) writer_.add(frame(name, 7));
  EXPECT_THAT(names(), ElementsAre("a", "b", "c"));
}

// As the gradients of a step come: the last layers' first.
TEST_F(FrameStream, ASmallerTurnGoesFirst) {
  writer_.add(frame("last", 3, kLarge));
  writer_.add(frame("middle", 2, kLarge));
  writer_.add(frame("first", 1));
  writer_.add(frame("first again", 1));
  writer_.add(frame("word", 0));
  EXPECT_THAT(names(), ElementsAre("word", "first", "first again", "middle", "last"));
}

TEST_F(FrameStream, NothingGoesBetweenTheBytesOfAFrame) {
  writer_.add(frame("last", 3, kLarge));
  ASSERT_EQ(write(), FrameWriter::Wrote::kFull);
  writer_.add(frame("middle", 2, kLarge));
  writer_.add(frame("first", 1));
  EXPECT_THAT(names(), ElementsAre("last", "first", "middle"));
}

// On a new connection nothing of it is there.
TEST_F(FrameStream, WhatWasBegunHasItsTurnAgain) {
  writer_.add(frame("last", 3, kLarge));
  ASSERT_EQ(write(), FrameWriter::Wrote::kFull);
  writer_.add(frame("first", 1));
  for (const int socket : sockets_) ::close(socket);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets_), 0);
  writer_.restart();
  writer_.add(frame("last again", 3));
  EXPECT_THAT(names(), ElementsAre("first", "last", "last again"));
}

}  // namespace
}  // namespace rubato::transport
