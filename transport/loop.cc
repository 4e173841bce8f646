#include "transport/loop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

namespace rubato::transport {

namespace asio = boost::asio;
using boost::system::error_code;

// --- Loop -----------------------------------------------------------------------------------------

struct Loop::Impl {
  // One thread runs the context, so its queue needs the locks of post() only.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::signal_set signals{context};
  std::function<void(int)> on_signal;

  struct Hangup {
    asio::posix::stream_descriptor descriptor;
    Handler handler;
    std::array<char, 64> discarded;
  };
  std::vector<std::unique_ptr<Hangup>> hangups;

  void await_signal() {
    signals.async_wait([this](error_code error, int number) {
      if (error) return;
      await_signal();
      on_signal(number);
    });
  }

  void await_hangup(Hangup& hangup) {
    hangup.descriptor.async_read_some(asio::buffer(hangup.discarded), [this, &hangup](error_code error, std::size_t) {
      if (error == asio::error::operation_aborted) return;
      if (!error) return await_hangup(hangup);
      hangup.handler();  // end of file, or an error after which none can be seen
    });
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::run() {
  impl_->context.run();
  impl_->context.restart();
}

void Loop::stop() { impl_->context.stop(); }

void Loop::post(Handler handler) { asio::post(impl_->context, std::move(handler)); }

Status Loop::on_signal(std::function<void(int)> handler) {
  RUBATO_CHECK(!impl_->on_signal, "signals are handled already");
  for (int number : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    if (::sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_IGN)
      continue;  // as behind a script's `&`
    error_code error;
    impl_->signals.add(number, error);
    if (error) return Error{Cause::kInternal, fmt::format("cannot catch {}: {}", ::strsignal(number), error.message())};
  }
  impl_->on_signal = std::move(handler);
  impl_->await_signal();
  return {};
}

Status Loop::on_hangup(int descriptor, Handler handler) {
  struct stat kind {};
  const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || ::fstat(copy, &kind) != 0)
    return Error{Cause::kUsage, fmt::format("cannot watch descriptor {}: {}", descriptor, std::strerror(errno))};
  if (!S_ISFIFO(kind.st_mode) && !S_ISSOCK(kind.st_mode)) {
    ::close(copy);
    return Error{Cause::kUsage,
                 fmt::format("descriptor {} is no pipe or socket, so nobody can hang it up", descriptor)};
  }
  auto hangup = std::make_unique<Impl::Hangup>(
      Impl::Hangup{asio::posix::stream_descriptor(impl_->context), std::move(handler), {}});
  error_code error;
  hangup->descriptor.assign(copy, error);
  if (error) {
    ::close(copy);
    return Error{Cause::kUsage, fmt::format("cannot watch descriptor {}: {}", descriptor, error.message())};
  }
  impl_->await_hangup(*hangup);
  impl_->hangups.push_back(std::move(hangup));
  return {};
}

boost::asio::io_context& Loop::io_context() { return impl_->context; }

// --- Timer ----------------------------------------------------------------------------------------

struct Timer::State : std::enable_shared_from_this<Timer::State> {
  State(asio::io_context& context, Loop::Handler on_deadline) : timer(context), handler(std::move(on_deadline)) {}

  void sleep_until(TimeNs time) {
    sleeping_until = time;
    timer.expires_at(
        std::chrono::steady_clock::time_point(std::chrono::nanoseconds(time)));  // cancels the sleep before
    timer.async_wait([self = shared_from_this()](error_code error) {
      if (!error) self->wake();
    });
  }

  void wake() {
    sleeping_until = kNever;
    if (deadline == kNever) return;
    if (deadline > steady_now()) return sleep_until(deadline);
    deadline = kNever;
    handler();
  }

  asio::steady_timer timer;
  Loop::Handler handler;
  TimeNs deadline = kNever;
  TimeNs sleeping_until = kNever;  // never later than the deadline
};

Timer::Timer(Loop& loop, Loop::Handler handler)
    : state_(std::make_shared<State>(loop.io_context(), std::move(handler))) {}

Timer::~Timer() {
  state_->deadline = kNever;  // a wake that is already queued finds nothing to do
  error_code ignored;
  state_->timer.cancel(ignored);
}

void Timer::arm(TimeNs deadline) {
  state_->deadline = deadline;
  if (deadline < state_->sleeping_until) state_->sleep_until(deadline);
}

// --- Wakeup ---------------------------------------------------------------------------------------

struct Wakeup::State : std::enable_shared_from_this<Wakeup::State> {
  State(asio::io_context& loop, Loop::Handler on_ring) : context(loop), handler(std::move(on_ring)) {}

  // What the context queues. It is kept in `place`, which Asio gives back before it calls; and there is one at most,
  // since only then a ring may queue the next.
  struct Call {
    template <typename T>
    struct Place {
      using value_type = T;
      explicit Place(State& of) : state(&of) {}
      template <typename Other>
      Place(const Place<Other>& other) : state(other.state) {}  // NOLINT: as allocators are

      [[nodiscard]] T* allocate(std::size_t count) {
        RUBATO_CHECK(count * sizeof(T) <= kPlaceBytes, "{} bytes for a call", count * sizeof(T));
        return reinterpret_cast<T*>(state->place.data());
      }
      void deallocate(T* /*place*/, std::size_t /*count*/) {}
      template <typename Other>
      [[nodiscard]] bool operator==(const Place<Other>& other) const {
        return state == other.state;
      }

      State* state;
    };
    using allocator_type = Place<void>;
    [[nodiscard]] allocator_type get_allocator() const { return allocator_type(*state); }

    void operator()() const {
      state->rung = false;  // before it looks at anything: what comes later calls it again
      if (!state->closed) state->handler();
    }

    std::shared_ptr<State> state;
  };
  static constexpr std::size_t kPlaceBytes = 128;

  asio::io_context& context;
  Loop::Handler handler;
  bool closed = false;
  std::atomic<bool> rung = false;
  alignas(std::max_align_t) std::array<std::byte, kPlaceBytes> place;
};

Wakeup::Wakeup(Loop& loop, Loop::Handler handler)
    : state_(std::make_shared<State>(loop.io_context(), std::move(handler))) {}

Wakeup::~Wakeup() { state_->closed = true; }  // a call that is already queued finds nothing to do

void Wakeup::ring() {
  if (!state_->rung.exchange(true)) asio::post(state_->context, State::Call{state_});
}

// --- Watch ----------------------------------------------------------------------------------------

struct Watch::State : std::enable_shared_from_this<Watch::State> {
  State(asio::io_context& context, int number, Loop::Handler on_readable)
      : descriptor(context, number), handler(std::move(on_readable)) {}

  // Each wait asks the kernel anew, so that what is readable already is reported too.
  void wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
      if (error || self->closed) return;
      self->handler();
      if (!self->closed) self->wait();
    });
  }

  asio::posix::stream_descriptor descriptor;
  Loop::Handler handler;
  bool closed = false;
};

Watch::Watch(Loop& loop, int descriptor, Loop::Handler handler)
    : state_(std::make_shared<State>(loop.io_context(), descriptor, std::move(handler))) {
  state_->wait();
}

Watch::~Watch() {
  state_->closed = true;
  state_->descriptor.release();  // the owner closes it, after it has left the loop's epoll set
}

}  // namespace rubato::transport
