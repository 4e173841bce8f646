// A core on a thread of its own: when it is to be woken, however much there is to do.
#include "protocol/core_thread.h"

#include <gtest/gtest.h>

#include <semaphore>

#include "tests/protocol/hand_endpoint.h"
#include "tests/transport/loop_world.h"

namespace rubato::protocol {
namespace {

// Wants to be woken 500 ns after it was the last time, and takes as long for what it receives as the test says.
class SlowCore final : public Core {
 public:
  explicit SlowCore(std::counting_semaphore<>& may_end) : may_end_(may_end) {}
  [[nodiscard]] Identity identity() const override { return {server_node(0), 1, 1, 1}; }
  void start(TimeNs /*now*/, Outbox& /*out*/) override {}
  void receive(TimeNs /*now*/, const Envelope& /*envelope*/, Body /*body*/, Outbox& /*out*/) override {
    may_end_.acquire();
  }
  void wake(TimeNs now, Outbox& /*out*/) override { deadline_ = now + 500; }
  [[nodiscard]] TimeNs deadline() const override { return deadline_; }

 private:
  std::counting_semaphore<>& may_end_;
  TimeNs deadline_ = 500;
};

class CoreThreadTest : public testing::Test {
 protected:
  void SetUp() override {
    node_.host(core_);
    node_.start();
    ASSERT_TRUE(comes_to(500));
  }
  void TearDown() override { may_end_.release(100); }

  void receive() {
    Outbox out;
    core_.receive(time_, {}, Beat{.clock = 1}, out);
  }
  void wake() {
    Outbox out;
    core_.wake(time_, out);
  }
  bool comes_to(TimeNs deadline) {
    return world_.run_until([&] { return core_.deadline() == deadline; });
  }

  struct World final : transport::LoopWorld {
    std::unique_ptr<transport::Endpoint> endpoint(const std::string&) override { return nullptr; }
    std::string address(const std::string&) override { return {}; }
  } world_;
  TimeNs time_ = 100;
  std::counting_semaphore<> may_end_{0};
  HandEndpoint endpoint_;
  NoteListener listener_;
  Node node_{endpoint_, kJob, {[this] { return time_; }, [](TimeNs) {}}, listener_, {}};
  CoreThread core_{std::make_unique<SlowCore>(may_end_), world_.loop(), node_};
};

TEST_F(CoreThreadTest, IsWokenAgainThoughItIsNeverIdle) {
  receive();
  time_ = 600;
  wake();
  receive();
  EXPECT_EQ(core_.deadline(), kNever) << "the wake-up is in the queue";
  may_end_.release();
  EXPECT_TRUE(comes_to(1100)) << "the wake-up has come back, and another task has not";
  receive();
  time_ = 1200;
  wake();
  receive();
  may_end_.release(2);
  EXPECT_TRUE(comes_to(1700));
}

}  // namespace
}  // namespace rubato::protocol
