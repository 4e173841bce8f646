#include "transport/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "transport/mailbox.h"

namespace rubato::transport {
namespace {

TEST(Loop, RunsWhatOtherThreadsPostInTheirOrder) {
  Loop loop;
  constexpr int kThreads = 4, kPosts = 1000;
  std::vector<std::vector<int>> seen(kThreads);
  int count = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kPosts; ++i)
        loop.post([&, thread, i] {
          seen[thread].push_back(i);
          if (++count == kThreads * kPosts) loop.stop();
        });
    });
  loop.run();
  for (auto& thread : threads) thread.join();
  for (const auto& order : seen) {
    ASSERT_EQ(order.size(), kPosts);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST(Loop, GoesOnAfterItWasStopped) {
  Loop loop;
  int ran = 0;
  for (int round = 1; round <= 2; ++round) {
    loop.post([&] {
      ++ran;
      loop.stop();
    });
    loop.run();
    EXPECT_EQ(ran, round);
  }
}

TEST(Loop, DoesNotRunIfItWasStoppedBefore) {
  Loop loop;
  loop.post([] { FAIL(); });
  loop.stop();
  loop.run();
}

TEST(Loop, CatchesSignals) {
  for (int number : {SIGINT, SIGTERM}) std::signal(number, SIG_DFL);  // whoever started the test may ignore them
  Loop loop;
  std::vector<int> caught;
  ASSERT_TRUE(loop.on_signal([&](int number) {
                    caught.push_back(number);
                    if (caught.size() == 1)
                      ::raise(SIGINT);
                    else
                      loop.stop();
                  })
                  .ok());
  ::raise(SIGTERM);
  loop.run();
  EXPECT_EQ(caught, (std::vector<int>{SIGTERM, SIGINT}));
}

TEST(Loop, WhatIsIgnoredStaysSo) {
  std::signal(SIGINT, SIG_IGN);
  Loop loop;
  std::vector<int> caught;
  ASSERT_TRUE(loop.on_signal([&](int number) {
                    caught.push_back(number);
                    loop.stop();
                  })
                  .ok());
  ::raise(SIGINT);
  ::raise(SIGTERM);
  loop.run();
  std::signal(SIGINT, SIG_DFL);
  EXPECT_EQ(caught, std::vector<int>{SIGTERM});
}

TEST(Loop, NoticesThatTheOtherEndOfAPipeIsGone) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  int hangups = 0;
  ASSERT_TRUE(loop.on_hangup(ends[0],
                             [&] {
                               ++hangups;
                               loop.stop();
                             })
                  .ok());
  ASSERT_EQ(::write(ends[1], "not yet", 7), 7);
  Timer close_it(loop, [&] {
    EXPECT_EQ(hangups, 0);
    ::close(ends[1]);
  });
  close_it.arm(steady_now() + 20 * kMillisecond);
  loop.run();
  EXPECT_EQ(hangups, 1);
  ::close(ends[0]);
}

TEST(Loop, RefusesToWatchWhatNobodyCanHangUp) {
  Loop loop;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (int descriptor : {null, -1, 9999}) {
    const Status status = loop.on_hangup(descriptor, [] {});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().cause, Cause::kUsage);
  }
  ::close(null);
}

TEST(Timer, FiresOnceAndNotEarly) {
  Loop loop;
  TimeNs fired = 0;
  int count = 0;
  Timer timer(loop, [&] {
    fired = steady_now();
    ++count;
  });
  const TimeNs deadline = steady_now() + 10 * kMillisecond;
  timer.arm(deadline);
  Timer end(loop, [&] { loop.stop(); });
  end.arm(deadline + 30 * kMillisecond);
  loop.run();
  EXPECT_EQ(count, 1);
  EXPECT_GE(fired, deadline);
}

TEST(Timer, TheLastDeadlineCounts) {
  Loop loop;
  std::string order;
  const TimeNs start = steady_now();
  Timer later(loop, [&] { order += "later "; });
  Timer earlier(loop, [&] { order += "earlier "; });
  Timer cancelled(loop, [&] { order += "cancelled "; });
  Timer passed(loop, [&] { order += "passed "; });
  Timer middle(loop, [&] { order += "middle "; });
  Timer end(loop, [&] { loop.stop(); });
  later.arm(start + 5 * kMillisecond);
  for (int i = 0; i < 1000; ++i) later.arm(start + (30 + i % 10) * kMillisecond);
  earlier.arm(start + kSecond);
  earlier.arm(start + 10 * kMillisecond);
  cancelled.arm(start + 15 * kMillisecond);
  cancelled.cancel();
  middle.arm(start + 20 * kMillisecond);
  passed.arm(start - kSecond);
  end.arm(start + 60 * kMillisecond);
  loop.run();
  EXPECT_EQ(order, "passed earlier middle later ");
}

TEST(Timer, MayBeArmedAndDestroyedByItsHandler) {
  Loop loop;
  int count = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    if (++count < 5) return timer->arm(steady_now());
    timer.reset();
    loop.post([&] { loop.stop(); });
  });
  timer->arm(steady_now());
  loop.run();
  EXPECT_EQ(count, 5);
}

TEST(Timer, NeverFiresOnceDestroyed) {
  Loop loop;
  auto timer = std::make_unique<Timer>(loop, [] { FAIL(); });
  timer->arm(steady_now());
  loop.post([&] { timer.reset(); });
  Timer end(loop, [&] { loop.stop(); });
  end.arm(steady_now() + 10 * kMillisecond);
  loop.run();
}

TEST(Watch, ReportsWhatIsReadableAlreadyAndLater) {
  Loop loop;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  ASSERT_EQ(::write(ends[1], "a", 1), 1);
  std::string read;
  std::unique_ptr<Watch> watch;
  watch = std::make_unique<Watch>(loop, ends[0], [&] {
    char byte;
    while (::read(ends[0], &byte, 1) == 1) read += byte;
    if (read == "a") {
      ASSERT_EQ(::write(ends[1], "b", 1), 1);
    }
    if (read != "ab") return;
    watch.reset();
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  EXPECT_EQ(read, "ab");
  EXPECT_EQ(::close(ends[0]), 0) << "the descriptor stays its owner's";
  ::close(ends[1]);
}

TEST(Wakeup, IsCalledOnceForAllThatRangBefore) {
  Loop loop;
  int calls = 0;
  Wakeup wakeup(loop, [&] { ++calls; });
  for (int i = 0; i < 10; ++i) wakeup.ring();
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(calls, 1);
  wakeup.ring();
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(calls, 2);
}

TEST(Wakeup, MayBeRungWhileItIsCalled) {
  Loop loop;
  int calls = 0;
  Wakeup* again = nullptr;
  Wakeup wakeup(loop, [&] {
    if (++calls == 5) return loop.stop();
    again->ring();
    again->ring();
  });
  again = &wakeup;
  wakeup.ring();
  loop.run();
  EXPECT_EQ(calls, 5);
}

TEST(Wakeup, IsCalledAfterTheLastRingOfAnyThread) {
  Loop loop;
  constexpr int kThreads = 4, kRings = 20'000;
  std::atomic<int> rung = 0;
  int seen = 0;
  Wakeup wakeup(loop, [&] {
    seen = rung;
    if (seen == kThreads * kRings) loop.stop();
  });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&] {
      for (int i = 0; i < kRings; ++i) {
        ++rung;
        wakeup.ring();
      }
    });
  loop.run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen, kThreads * kRings);
}

TEST(Wakeup, IsNotCalledOnceItIsGone) {
  Loop loop;
  std::optional<Wakeup> wakeup(std::in_place, loop, [] { FAIL(); });
  wakeup->ring();
  wakeup.reset();
  loop.post([&] { loop.stop(); });
  loop.run();

  std::optional<Wakeup> itself;
  itself.emplace(loop, [&] {
    itself->ring();
    itself.reset();
    loop.post([&] { loop.stop(); });
  });
  itself->ring();
  loop.run();
  EXPECT_FALSE(itself);
}

TEST(Wakeup, MayBeLeftRung) {
  Loop loop;
  Wakeup wakeup(loop, [] { FAIL(); });
  wakeup.ring();
}

TEST(Mailbox, ALoopTakesWhatOtherThreadsPutInInTheirOrder) {
  Loop loop;
  constexpr int kThreads = 4, kValues = 5000;
  std::vector<std::vector<int>> seen(kThreads);
  int count = 0;
  Mailbox<std::pair<int, int>> mailbox(loop, [&](std::pair<int, int> value) {
    seen[value.first].push_back(value.second);
    if (++count == kThreads * kValues) loop.stop();
  });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kValues; ++i) mailbox.put({thread, i});
    });
  loop.run();
  for (auto& thread : threads) thread.join();
  for (const auto& values : seen) {
    ASSERT_EQ(values.size(), static_cast<std::size_t>(kValues));
    EXPECT_TRUE(std::ranges::is_sorted(values));
  }
}

TEST(Mailbox, WhatIsPutInWhileItIsBeingEmptiedIsTakenToo) {
  Loop loop;
  std::vector<int> seen;
  Mailbox<int>* again = nullptr;
  Mailbox<int> mailbox(loop, [&](int value) {
    seen.push_back(value);
    if (value < 3) return again->put(value + 1);
    loop.stop();
  });
  again = &mailbox;
  mailbox.put(0);
  loop.run();
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace rubato::transport
