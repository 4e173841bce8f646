#include "protocol/core_thread.h"

namespace rubato::protocol {

CoreThread::CoreThread(std::unique_ptr<Core> core, transport::Loop& loop, Node& node)
    : core_(std::move(core)), loop_(loop), node_(node), identity_(core_->identity()), thread_([this] { run(); }) {}

CoreThread::~CoreThread() {
  tasks_.close();
  thread_.join();
}

void CoreThread::start(TimeNs now, Outbox& /*out*/) {
  ++under_way_;
  tasks_.push({now, Start{}});
}

void CoreThread::receive(TimeNs now, const Envelope& envelope, Body body, Outbox& /*out*/) {
  ++under_way_;
  tasks_.push({now, Receive{envelope, std::move(body)}});
}

void CoreThread::wake(TimeNs now, Outbox& /*out*/) {
  deadline_ = kNever;  // until the core has said the next one
  ++under_way_;
  tasks_.push({now, Wake{}});
}

void CoreThread::run() {
  while (std::optional<Task> task = tasks_.pop()) {
    Outbox out;
    out.tracing = node_.options().tracing;
    out.hashing = node_.options().hashing;
    if (auto* received = std::get_if<Receive>(&task->what))
      core_->receive(task->now, received->envelope, std::move(received->body), out);
    else if (std::holds_alternative<Wake>(task->what))
      core_->wake(task->now, out);
    else
      core_->start(task->now, out);
    auto shared = std::make_shared<Outbox>(std::move(out));
    loop_.post([this, shared, identity = core_->identity(), deadline = core_->deadline()] {
      come_back(std::move(*shared), identity, deadline);
    });
  }
}

void CoreThread::come_back(Outbox out, Identity identity, TimeNs deadline) {
  identity_ = identity;
  // A wake-up that is still in the queue will say the deadline that counts.
  if (--under_way_ == 0 || deadline_ != kNever) deadline_ = deadline;
  node_.enter(*this, [&](TimeNs /*now*/, Outbox& to) { to = std::move(out); });
}

}  // namespace rubato::protocol
