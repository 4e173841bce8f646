// The names of things that cross process boundaries. See docs/architecture.md, "Words".
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace rubato {

// The number of steps that a worker has completed and had settled by every shard. Step c is the one
// that takes a worker from clock c to clock c + 1.
using Clock = std::int64_t;
inline constexpr Clock kNoClock = -1;

using Version = std::uint64_t;      // number of updates applied to a slice
using SliceId = std::uint32_t;      // index into the routing table
using Incarnation = std::uint32_t;  // counts the lives of one rank; a higher one fences a lower one

enum class Role : std::uint8_t { kScheduler = 0, kServer = 1, kWorker = 2, kEvaluator = 3 };

[[nodiscard]] constexpr const char* role_name(Role role) {
  switch (role) {
    case Role::kScheduler:
      return "scheduler";
    case Role::kServer:
      return "server";
    case Role::kWorker:
      return "worker";
    case Role::kEvaluator:
      return "evaluator";
  }
  return "unknown";
}

// One member of a job. Ranks count from 0 within a role. A server process with T shard threads is T
// members, `server-0` to `server-(T-1)` of its process behind one endpoint: a NodeId names a shard.
struct NodeId {
  Role role = Role::kScheduler;
  std::uint32_t rank = 0;

  friend auto operator<=>(const NodeId&, const NodeId&) = default;
  [[nodiscard]] std::string name() const {
    return role == Role::kScheduler ? "scheduler" : std::string(role_name(role)) + "-" + std::to_string(rank);
  }
};

inline constexpr NodeId kSchedulerNode{Role::kScheduler, 0};
[[nodiscard]] constexpr NodeId server_node(std::uint32_t rank) { return {Role::kServer, rank}; }
[[nodiscard]] constexpr NodeId worker_node(std::uint32_t rank) { return {Role::kWorker, rank}; }
[[nodiscard]] constexpr NodeId evaluator_node(std::uint32_t rank) { return {Role::kEvaluator, rank}; }

}  // namespace rubato
