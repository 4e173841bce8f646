#include "model/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace rubato::model {
namespace {

constexpr std::size_t kAlignment = 128;  // two cache lines: neighbours are fetched in pairs

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool meet(const Tenant& a, const Tenant& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

MemoryPlan plan_memory(std::span<const Tenant> tenants) {
  MemoryPlan plan;
  plan.offsets.resize(tenants.size(), 0);
  std::vector<std::size_t> by_size(tenants.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return tenants[a].bytes > tenants[b].bytes; });
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t tenant : by_size) {
    RUBATO_CHECK(tenants[tenant].first <= tenants[tenant].last, "a tenant from {} to {}", tenants[tenant].first,
                 tenants[tenant].last);
    const std::size_t bytes = aligned(tenants[tenant].bytes);
    if (bytes == 0) continue;
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      if (!meet(tenants[tenant], tenants[other])) continue;
      if (plan.offsets[other] >= offset + bytes) break;  // it fits below
      offset = std::max(offset, plan.offsets[other] + aligned(tenants[other].bytes));
    }
    plan.offsets[tenant] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), tenant,
                                   [&](std::size_t a, std::size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  tenant);
  }
  return plan;
}

}  // namespace rubato::model
