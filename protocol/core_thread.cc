#include "protocol/core_thread.h"

#include <algorithm>

#include "base/thread_name.h"

namespace rubato::protocol {

CoreThread::CoreThread(std::unique_ptr<Core> core, transport::Loop& loop, Node& node, timeline::Lane* lane)
    : core_(std::move(core)),
      node_(node),
      lane_(lane),
      identity_(core_->identity()),
      done_(loop, [this](Done done) { come_back(std::move(done)); }),
      thread_([this] { run(); }) {}

CoreThread::~CoreThread() {
  tasks_.close();
  thread_.join();
}

void CoreThread::start(TimeNs now, Outbox& /*out*/) { tasks_.push({now, Start{}}); }

void CoreThread::receive(TimeNs now, const Envelope& envelope, Body body, Outbox& /*out*/) {
  tasks_.push({now, Receive{envelope, std::move(body)}});
}

void CoreThread::wake(TimeNs now, Outbox& /*out*/) {
  deadline_ = kNever;
  waking_ = true;
  tasks_.push({now, Wake{}});
}

void CoreThread::run() {
  name_thread(core_->identity().node.name().c_str());
  while (std::optional<Task> task = tasks_.pop()) {
    Outbox out = spare_.try_pop().value_or(Outbox());
    out.tracing = node_.options().tracing;
    out.hashing = node_.options().hashing;
    const TimeNs began = lane_ != nullptr ? steady_now() : 0;
    if (auto* received = std::get_if<Receive>(&task->what)) {
      const Subject subject = lane_ != nullptr ? subject_of(received->body) : Subject();
      core_->receive(task->now, received->envelope, std::move(received->body), out);
      if (lane_ != nullptr) draw(began, subject, received->envelope.from, out);
    } else if (std::holds_alternative<Wake>(task->what)) {
      core_->wake(task->now, out);
    } else {
      core_->start(task->now, out);
    }
    done_.put({std::move(out), core_->identity(), core_->deadline(), std::holds_alternative<Wake>(task->what)});
  }
}

void CoreThread::draw(TimeNs began, const Subject& subject, NodeId peer, const Outbox& out) {
  const bool applied =
      std::ranges::any_of(out.messages, [](const Outbox::Outgoing& sent) { return says_applied(sent.body); });
  lane_->add({.begin = began,
              .end = steady_now(),
              .clock = subject.clock,
              .what = "received",
              .of = subject.kind,
              .slice = subject.slice,
              .peer = peer,
              .applied = applied});
}

void CoreThread::come_back(Done done) {
  identity_ = done.identity;
  if (done.woken) waking_ = false;
  if (!waking_) deadline_ = done.deadline;
  node_.enter(*this, [&](TimeNs /*now*/, Outbox& to) { std::swap(to, done.out); });
  done.out.end.reset();  // of an earlier call; it was heeded
  (void)spare_.try_push(std::move(done.out));
}

}  // namespace rubato::protocol
