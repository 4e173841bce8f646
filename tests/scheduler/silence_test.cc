#include "tests/scheduler/scheduler_harness.h"

namespace rubato::scheduler {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> warnings(const Scheduler& s) {
  std::vector<std::string> said;
  for (const auto& note : s.out.notes)
    if (note.level == protocol::Level::kWarning) said.push_back(note.text);
  return said;
}

// Whoever is awake sweeps in time; `speaking` say meanwhile that they live.
void pass(Scheduler& s, TimeNs time, const std::vector<NodeId>& speaking) {
  for (const TimeNs end = s.now + time; s.now < end && s.core.phase() != Phase::kOver;) {
    for (NodeId node : speaking) s.beat(node);
    s.wake_at(s.core.deadline());
  }
}

TEST(Silence, IsTheMembersOwnWhereTheSchedulerWasAwake) {
  Scheduler s(job_of("ssp:1"));
  s.begin();
  pass(s, s.timing.lost_after, {server_node(0), worker_node(0), evaluator_node(0)});
  EXPECT_EQ(s.core.phase(), Phase::kTraining);
  pass(s, s.timing.heartbeat, {server_node(0), worker_node(0), evaluator_node(0)});
  ASSERT_THAT(warnings(s), SizeIs(1));
  EXPECT_THAT(warnings(s)[0], HasSubstr("worker-1 has been silent for 2."));
}

// As after SIGSTOP to all processes of a job, and SIGCONT.
TEST(Silence, OfWhomTheSchedulerSleptThroughIsExcused) {
  Scheduler s(job_of("ssp:1"));
  s.begin();
  const TimeNs minutes = 300 * kSecond;
  for (int again = 0; again < 2; ++again) {
    pass(s, kSecond, s.members());
    s.sleep_until(s.now + minutes);
    EXPECT_THAT(warnings(s), IsEmpty());
    pass(s, s.timing.lost_after - s.timing.heartbeat, {});  // the others may wake up later
    EXPECT_THAT(warnings(s), IsEmpty());
  }
  pass(s, kSecond, s.members());
  EXPECT_EQ(s.core.phase(), Phase::kTraining);
}

TEST(Silence, AfterTheSchedulersSleepIsJudgedAnew) {
  Scheduler s(job_of("ssp:1"));
  s.begin();
  s.sleep_until(s.now + 300 * kSecond);
  pass(s, s.timing.lost_after + s.timing.heartbeat, {server_node(0), worker_node(0), evaluator_node(0)});
  ASSERT_THAT(warnings(s), SizeIs(1));
  EXPECT_THAT(warnings(s)[0], HasSubstr("worker-1 has been silent for 2."));
}

// As on a host that is far too busy.
TEST(Silence, ASchedulerThatIsLateAgainAndAgainStillFindsWhoIsLost) {
  Scheduler s(job_of("ssp:1"));
  s.begin();
  const TimeNs late = s.timing.lost_after * 3 / 5;
  int sweeps = 0;
  for (; warnings(s).empty() && sweeps < 100; ++sweeps) {
    for (const NodeId node : {server_node(0), worker_node(0), evaluator_node(0)}) s.beat(node);
    s.sleep_until(s.now + s.timing.heartbeat + late);
  }
  EXPECT_LE(sweeps, 2 + s.timing.lost_after / s.timing.heartbeat);
}

TEST(Silence, AStepThatTookTheSleepIsNoneThatDoesNotGetOn) {
  Scheduler s(job_of("ssp:1"));
  s.begin();
  s.sleep_until(s.now + 300 * kSecond);
  protocol::Waiting stands;
  stands.for_ns = static_cast<std::uint64_t>(300 * kSecond);
  for (std::uint32_t rank : {0u, 1u}) s.beat(worker_node(rank), stands);
  pass(s, s.timing.heartbeat, {server_node(0), evaluator_node(0)});
  EXPECT_THAT(warnings(s), IsEmpty());
}

TEST(Silence, MembersThatAreToComeMayStillComeAfterASleep) {
  Scheduler s(job_of("ssp:1"));
  s.enroll(server_node(0));
  s.sleep_until(s.now + 300 * kSecond);
  EXPECT_EQ(s.core.phase(), Phase::kGathering);
  pass(s, s.timing.start_timeout + kSecond, {});
  EXPECT_EQ(s.core.phase(), Phase::kOver);
}

}  // namespace
}  // namespace rubato::scheduler
