// Copies beside what is computed: to the device on one stream, to the host on another one, and events between those and
// the stream of the kernels.
//
//   begin_step(compute);                       // what was brought before is read no more
//   bring(host, device, compute);              // on "pull"; what "compute" is given from now on finds it there
//   ... kernels on "compute" ...
//   send(device, host, compute);               // on "push", once "compute" is here
//   mark = mark_copies();                      // host side: there, once this has passed
//
// All of the host's memory is pinned: of other memory a copy is no copy beside anything, and belongs on the stream that
// is waited for.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "kernels/cuda/cuda_check.h"

namespace rubato::kernels::cuda {

class CopyStreams {
 public:
  using Bytes = std::span<std::byte>;
  using ConstBytes = std::span<const std::byte>;

  static Result<std::unique_ptr<CopyStreams>> create();
  CopyStreams(const CopyStreams&) = delete;
  CopyStreams& operator=(const CopyStreams&) = delete;

  [[nodiscard]] const Stream& pull() const { return pull_; }
  [[nodiscard]] Status begin_step(const Stream& compute);
  [[nodiscard]] Status bring(ConstBytes host, Bytes device, const Stream& compute);
  [[nodiscard]] Status send(ConstBytes device, Bytes host, const Stream& compute);

  // What both streams are given between them is a part of what "compute" records. Unless fork() fails, join() follows.
  [[nodiscard]] Status fork(const Stream& compute);
  [[nodiscard]] Status join(const Stream& compute);

  // Those of the step, from 1 on; 0, if nothing was sent since the last one.
  [[nodiscard]] Result<CopyMark> mark_copies();
  [[nodiscard]] Result<bool> has_passed(CopyMark mark) const;
  [[nodiscard]] Status wait_for(CopyMark mark) const;
  // Of both streams, whatever becomes of it.
  void drain() const;

  // Registers memory of the host.
  [[nodiscard]] Result<Pinned> pin(Bytes memory);
  [[nodiscard]] bool is_pinned(ConstBytes memory) const;

 private:
  CopyStreams(Stream pull, Stream push, Event began, Event brought, Event computed)
      : pull_(std::move(pull)),
        push_(std::move(push)),
        began_(std::move(began)),
        brought_(std::move(brought)),
        computed_(std::move(computed)) {}
  static void unpin(void* self, std::byte* memory);

  const Stream pull_, push_;
  const Event began_, brought_, computed_;
  std::vector<Event> marks_;  // of the step with the most of them; kept
  CopyMark marked_ = 0;       // in the step
  bool sent_ = false;         // since the last mark
  bool recording_ = false;
  std::map<const std::byte*, std::size_t> pinned_;
};

}  // namespace rubato::kernels::cuda
