#include "server/members.h"

#include <gtest/gtest.h>

namespace rubato::server {
namespace {

using protocol::Outbox;
using protocol::TraceKind;

TEST(Members, AdmitsTheNewestLifeAndOnlyThat) {
  Members members;
  Outbox out;
  EXPECT_EQ(members.admit(0, 1), Admission::kEarly);
  members.set_active({{0, 1, 0}, {1, 3, 5}}, out);
  members.seal(0, 1);
  struct Case {
    std::uint32_t rank;
    Incarnation incarnation;
    Admission expected;
  };
  const Case cases[] = {
      {0, 0, Admission::kFenced},   {0, 1, Admission::kFenced}, {0, 2, Admission::kEarly}, {1, 2, Admission::kFenced},
      {1, 3, Admission::kAdmitted}, {1, 4, Admission::kEarly},  {2, 1, Admission::kEarly},
  };
  for (const Case& c : cases) EXPECT_EQ(members.admit(c.rank, c.incarnation), c.expected) << c.rank << c.incarnation;
}

TEST(Members, ANewLifeIsAdmittedOnceTheSchedulerNamesIt) {
  Members members;
  Outbox out;
  members.set_active({{0, 1, 0}}, out);
  members.seal(0, 1);
  members.set_active({{0, 2, 9}}, out);
  EXPECT_EQ(members.admit(0, 1), Admission::kFenced);
  EXPECT_EQ(members.admit(0, 2), Admission::kAdmitted);
  members.seal(0, 1);  // late
  EXPECT_EQ(members.admit(0, 2), Admission::kAdmitted);
  members.set_active({}, out);
  EXPECT_EQ(members.admit(0, 2), Admission::kFenced);
}

TEST(Members, ASealMayComeBeforeAnythingElse) {
  Members members;
  Outbox out;
  members.seal(0, 2);
  members.set_active({{0, 2, 0}}, out);  // said before the death, heard after it
  EXPECT_EQ(members.admit(0, 2), Admission::kFenced);
  EXPECT_EQ(members.admit(0, 1), Admission::kFenced);
}

TEST(Members, TracesWhatChanged) {
  Members members;
  Outbox out;
  out.tracing = true;
  members.set_active({{2, 1, 0}, {0, 1, 0}}, out);
  members.set_active({{0, 2, 4}, {1, 1, 3}}, out);
  struct Line {
    TraceKind kind;
    std::uint32_t worker;
    Clock clock;
    Incarnation life;
    bool operator==(const Line&) const = default;
  };
  std::vector<Line> lines;
  for (const auto& event : out.traces) lines.push_back({event.kind, event.worker, event.clock, event.life});
  const std::vector<Line> expected{{TraceKind::kActive, 0, 0, 1},   {TraceKind::kActive, 2, 0, 1},
                                   {TraceKind::kInactive, 0, 0, 0}, {TraceKind::kInactive, 2, 0, 0},
                                   {TraceKind::kActive, 0, 4, 2},   {TraceKind::kActive, 1, 3, 1}};
  EXPECT_EQ(lines, expected);
}

TEST(Members, IsDrainedOnlyAfterThereWasSomebody) {
  Members members;
  Outbox out;
  EXPECT_FALSE(members.drained());
  members.set_active({{0, 1, 0}}, out);
  EXPECT_FALSE(members.drained());
  members.set_active({}, out);
  EXPECT_TRUE(members.drained());
}

}  // namespace
}  // namespace rubato::server
