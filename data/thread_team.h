// Threads that help whoever asks with the parts of a task.
//
// Thread-safety: several threads may ask at once; each is helped, and works on its own task meanwhile.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"

namespace rubato::data {

class ThreadTeam {
 public:
  // The one who asks is one of `threads`: for a team of one there is no other.
  explicit ThreadTeam(std::size_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // Calls body(0), ..., body(count - 1), each once, and returns when all of them have returned.
  void run(std::size_t count, const std::function<void(std::size_t)>& body);

 private:
  struct Task {
    Task(const std::function<void(std::size_t)>* parts, std::size_t how_many) : body(parts), count(how_many) {}
    const std::function<void(std::size_t)>* const body;  // gone when all parts are done
    const std::size_t count;
    std::atomic<std::size_t> next = 0, done = 0;
  };
  static void work_on(Task& task);

  BoundedQueue<std::shared_ptr<Task>> tasks_;
  std::vector<std::thread> helpers_;
};

}  // namespace rubato::data
