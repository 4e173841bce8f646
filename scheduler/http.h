// The scheduler's HTTP: what people and the launcher ask and tell a running job.
//
//   GET  /status            the JSON of docs/status.md
//   POST /exited            {"node": "worker-1", "exit_code": -9}: that member's process has ended
//   POST /drain             finish what was granted, write the weights, end
//   POST /abort             end now
//   POST /set               {"set": "mode=ssp:8 rate=0.01", "dry_run": false}: other rules (base/rule_change.h)
//
// Every request carries the job's token in X-Rubato-Token; without it the answer is 403. What is posted is JSON
// and says so in Content-Type, or the answer is 415. So a page in a browser of this host can ask for nothing: it does
// not know the token, and it may send neither of the two headers to another origin without asking first, which is
// answered with 403. Bytes that are no HTTP, or more than 64 KiB of it, close the connection and are counted.
//
// What goes wrong is answered with {"error": text}; to /set also with "exit_code", a Cause.
//
// Over Boost.Beast, on the loop's thread: handlers may touch the scheduler's core.
// Thread-safety: the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "scheduler/member_exit.h"
#include "transport/loop.h"

namespace rubato::scheduler {

struct HttpHandlers {
  std::function<std::string()> status;
  // Whether the job has such a member.
  std::function<bool(const MemberExit&)> exited;
  std::function<void()> drain, abort;
  // A change in words, and whether it is only asked about; the answer is JSON. Errors: kUsage, kRefused.
  std::function<Result<std::string>(const std::string&, bool)> set;
};

class HttpServer {
 public:
  // Port 0: picked by the system. Errors: kNetwork.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(transport::Loop& loop, const std::string& address,
                                                                  std::uint16_t port, std::string token,
                                                                  HttpHandlers handlers);
  ~HttpServer();

  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::uint64_t refused() const;

 private:
  class Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// "worker-1" -> its NodeId. Errors: kUsage.
[[nodiscard]] Result<NodeId> parse_node(const std::string& name);

}  // namespace rubato::scheduler
