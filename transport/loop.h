// The event loop of one thread. A node's sockets, timers and state belong to the thread that runs its
// Loop, so none of them needs a mutex; other threads reach it through post().
//
// Boost.Asio is underneath and stays out of this header. What speaks Asio itself (the scheduler's
// HTTP) takes io_context().
//
// Invariants: handlers run one at a time, inside run(). A handler may destroy the Timer, Wakeup or
// Watch that calls it. An exception that leaves a handler leaves run().
// Thread-safety: post() and stop() from any thread; everything else on the thread that runs the loop,
// or before run() begins. Timers, Wakeups and Watches are destroyed before their Loop.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace rubato::transport {

class Loop {
 public:
  using Handler = std::function<void()>;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Returns after stop(). May be called again, and then goes on with what was posted since.
  void run();
  // run() returns after the handler that is running now; the next run() at once, if none is under way.
  void stop();
  // Runs `handler` on the loop's thread, after the present handler, in the order posted.
  void post(Handler handler);

  // SIGINT and SIGTERM no longer end the process: `handler` is called with the number, each time. What is ignored stays
  // so. Errors: kInternal, if the signals cannot be caught.
  [[nodiscard]] Status on_signal(std::function<void(int)> handler);

  // Calls `handler` once, when the other end of `descriptor` (a pipe or socket) has been closed. That
  // is how a process learns that its launcher died, even by SIGKILL. Bytes that arrive are discarded;
  // the descriptor stays the caller's. Errors: kUsage, if it is not open or is no pipe or socket.
  [[nodiscard]] Status on_hangup(int descriptor, Handler handler);

  [[nodiscard]] boost::asio::io_context& io_context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One deadline on the steady clock (base/time.h). Moving it is cheap when it moves to later, which is
// what the deadline of a protocol core nearly always does: the timer underneath is left alone, and
// looks again when it wakes.
class Timer {
 public:
  Timer(Loop& loop, Loop::Handler handler);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls the handler once, not before `deadline`; at once if that has passed. Replaces the deadline
  // before it. kNever cancels.
  void arm(TimeNs deadline);
  void cancel() { arm(kNever); }

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Calls its handler on the loop's thread after it was rung: once, however often that was since the call before. It has
// room of its own for that, so that ringing allocates nothing.
//
// Thread-safety: ring() from any thread, while the Wakeup lives.
class Wakeup {
 public:
  Wakeup(Loop& loop, Loop::Handler handler);
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void ring();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Calls its handler whenever a descriptor has become readable. The handler reads until nothing is
// left, or comes back by itself. The descriptor stays its owner's, and outlives the Watch.
class Watch {
 public:
  Watch(Loop& loop, int descriptor, Loop::Handler handler);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rubato::transport
