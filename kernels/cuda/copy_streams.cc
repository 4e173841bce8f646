#include "kernels/cuda/copy_streams.h"

#include <iterator>
#include <utility>

namespace rubato::kernels::cuda {

Result<std::unique_ptr<CopyStreams>> CopyStreams::create() {
  RUBATO_ASSIGN(Stream pull, Stream::create("pull"));
  RUBATO_ASSIGN(Stream push, Stream::create("push"));
  RUBATO_ASSIGN(Event began, Event::create());
  RUBATO_ASSIGN(Event brought, Event::create());
  RUBATO_ASSIGN(Event computed, Event::create());
  return std::unique_ptr<CopyStreams>(
      new CopyStreams(std::move(pull), std::move(push), std::move(began), std::move(brought), std::move(computed)));
}

Status CopyStreams::begin_step(const Stream& compute) {
  marked_ = 0;
  sent_ = false;
  RUBATO_TRY(began_.record(compute));
  return began_.hold(pull_);
}

Status CopyStreams::bring(ConstBytes host, Bytes device, const Stream& compute) {
  if (host.empty()) return {};
  RUBATO_TRY(enqueue_copy<std::byte>(device, host, pull_));
  RUBATO_TRY(brought_.record(pull_));
  return brought_.hold(compute);
}

Status CopyStreams::send(ConstBytes device, Bytes host, const Stream& compute) {
  if (host.empty()) return {};
  RUBATO_TRY(computed_.record(compute));
  RUBATO_TRY(computed_.hold(push_));
  sent_ = true;
  return enqueue_copy<std::byte>(host, device, push_);
}

Status CopyStreams::fork(const Stream& compute) {
  RUBATO_TRY(begin_step(compute));
  RUBATO_TRY(began_.hold(push_));
  recording_ = true;
  return {};
}

Status CopyStreams::join(const Stream& compute) {
  recording_ = false;
  RUBATO_TRY(brought_.record(pull_));
  RUBATO_TRY(brought_.hold(compute));
  RUBATO_TRY(computed_.record(push_));
  return computed_.hold(compute);
}

Result<CopyMark> CopyStreams::mark_copies() {
  if (!sent_) return CopyMark{0};
  if (marked_ == marks_.size()) {
    RUBATO_ASSIGN(Event mark, Event::create());
    marks_.push_back(std::move(mark));
  }
  RUBATO_TRY(recording_ ? marks_[marked_].record_each_time(push_) : marks_[marked_].record(push_));
  sent_ = false;
  return ++marked_;
}

Result<bool> CopyStreams::has_passed(CopyMark mark) const {
  if (mark == 0) return true;
  return marks_[mark - 1].has_passed();
}

Status CopyStreams::wait_for(CopyMark mark) const { return mark == 0 ? Status{} : marks_[mark - 1].synchronize(); }

void CopyStreams::drain() const {
  (void)pull_.synchronize();
  (void)push_.synchronize();
}

Result<Pinned> CopyStreams::pin(Bytes memory) {
  if (memory.empty()) return Pinned{};
  RUBATO_TRY(check(cudaHostRegister(memory.data(), memory.size(), cudaHostRegisterDefault),
                   "cudaHostRegister of {} bytes", memory.size()));
  pinned_[memory.data()] = memory.size();
  return Pinned(memory.data(), {this, &CopyStreams::unpin});
}

void CopyStreams::unpin(void* self, std::byte* memory) {
  static_cast<CopyStreams*>(self)->pinned_.erase(memory);
  cudaHostUnregister(memory);
}

bool CopyStreams::is_pinned(ConstBytes memory) const {
  const auto next = pinned_.upper_bound(memory.data());
  if (next == pinned_.begin()) return false;
  const auto& [begin, bytes] = *std::prev(next);
  return memory.data() + memory.size() <= begin + bytes;
}

}  // namespace rubato::kernels::cuda
