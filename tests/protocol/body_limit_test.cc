// How large a body may follow which header.
#include "protocol/body_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/frames.h"

namespace rubato::protocol {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSliceBytes = 1 << 20, kLarge = std::uint64_t{1} << 30;

class BodyLimitTest : public testing::Test {
 protected:
  static Job job() {
    Job job;
    job.cluster.slice_bytes = kSliceBytes;
    return job;
  }
  static HeaderBytes header_of(MessageType type, std::uint64_t length, std::uint64_t job_id = test::kJob) {
    Header header;
    header.type = type;
    header.job_id = job_id;
    header.length = length;
    return encode_header(header);
  }
  // Why such a body may not come; empty if it may.
  [[nodiscard]] std::string objection(const HeaderBytes& header, std::uint64_t bytes) const {
    const Status may = limit_.check(header, bytes);
    return may.ok() ? "" : may.error().message;
  }

  const BodyLimit limit_{job(), test::kJob};
};

TEST_F(BodyLimitTest, EveryMessageMayHaveTheBodyThatItHas) {
  for (const Body& body : test::bodies()) {
    const transport::Frame frame = encode(test::stamp(), body);
    EXPECT_TRUE(limit_.check(frame.header.bytes(), frame.body.size()).ok()) << test::name_of(frame);
  }
}

TEST_F(BodyLimitTest, GradientsAndWeightsAreOfASlice) {
  for (const MessageType type : {MessageType::kPush, MessageType::kPushAck, MessageType::kWeights}) {
    EXPECT_EQ(objection(header_of(type, kSliceBytes), kSliceBytes), "");
    EXPECT_THAT(objection(header_of(type, kSliceBytes + 4), kSliceBytes + 4), HasSubstr("expected 1048576 at most"));
  }
}

TEST_F(BodyLimitTest, OnlyWhatDescribesAModelOrAnEvaluationIsLarge) {
  for (const MessageType type : {MessageType::kRegister, MessageType::kWelcome, MessageType::kEvaluationDone})
    EXPECT_EQ(objection(header_of(type, kLarge), kLarge), "");
  for (const MessageType type : {MessageType::kHeartbeat, MessageType::kTick, MessageType::kMembership}) {
    EXPECT_EQ(objection(header_of(type, 1 << 20), 1 << 20), "");
    EXPECT_THAT(objection(header_of(type, kLarge), kLarge), HasSubstr("at most"));
  }
}

TEST_F(BodyLimitTest, WhoIsNoMemberMayHaveNone) {
  EXPECT_THAT(objection(header_of(MessageType::kRegister, 5000, test::kJob + 1), 5000), HasSubstr("this is job"));
  EXPECT_THAT(objection(header_of(MessageType::kRegister, 5000), 5001), HasSubstr("its header says 5000"));
  EXPECT_THAT(objection(HeaderBytes{}, 5000), HasSubstr("no Rubato frame"));
  HeaderBytes harmed = header_of(MessageType::kRegister, 5000);
  harmed[100] ^= std::byte{1};
  EXPECT_THAT(objection(harmed, 5000), HasSubstr("checksum"));
  EXPECT_FALSE(limit_.check({}, 5000).ok());
}

}  // namespace
}  // namespace rubato::protocol
