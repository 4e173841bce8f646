#include "data/thread_team.h"

#include "base/thread_name.h"

namespace rubato::data {

ThreadTeam::ThreadTeam(std::size_t threads) : tasks_(2 * threads) {
  for (std::size_t i = 1; i < threads; ++i)
    helpers_.emplace_back([this] {
      name_thread("decoder");
      while (auto task = tasks_.pop()) work_on(**task);
    });
}

ThreadTeam::~ThreadTeam() {
  tasks_.close();
  for (std::thread& helper : helpers_) helper.join();
}

void ThreadTeam::work_on(Task& task) {
  for (std::size_t part = task.next.fetch_add(1); part < task.count; part = task.next.fetch_add(1)) {
    (*task.body)(part);
    if (task.done.fetch_add(1) + 1 == task.count) task.done.notify_all();
  }
}

void ThreadTeam::run(std::size_t count, const std::function<void(std::size_t)>& body) {
  const auto task = std::make_shared<Task>(&body, count);
  // A queue that is full has more work than there are helpers.
  for (std::size_t i = 0; i < helpers_.size() && i + 1 < count; ++i)
    if (!tasks_.try_push(task)) break;
  work_on(*task);
  for (std::size_t done = task->done; done < count; done = task->done) task->done.wait(done);
}

}  // namespace rubato::data
