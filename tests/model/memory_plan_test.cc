#include "model/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace rubato::model {
namespace {

TEST(MemoryPlan, SharesWhereTimesDoNotMeet) {
  const std::vector<Tenant> tenants{{256, 0, 1}, {128, 1, 2}, {256, 2, 3}, {0, 0, 3}};
  const MemoryPlan plan = plan_memory(tenants);
  EXPECT_EQ(plan.bytes, 384u);
  EXPECT_EQ(plan.offsets[0], plan.offsets[2]);
  EXPECT_EQ(plan_memory({}).bytes, 0u);
}

// Layer after layer of equal size, as in an evaluation: two places that are taken in turns.
TEST(MemoryPlan, OfAChainTakesTurns) {
  std::vector<Tenant> tenants;
  for (std::size_t at = 0; at < 50; ++at) tenants.push_back({1000, at, at + 1});
  EXPECT_EQ(plan_memory(tenants).bytes, 2 * 1024u);
}

TEST(MemoryPlan, TenantsThatMeetShareNoByte) {
  RandomStream random(stream_key(1, "tenants"));
  for (int round = 0; round < 200; ++round) {
    std::vector<Tenant> tenants(1 + random.below(40));
    std::size_t together = 0;
    for (Tenant& tenant : tenants) {
      tenant.bytes = random.below(3000);
      tenant.first = random.below(20);
      tenant.last = tenant.first + random.below(10);
    }
    for (std::size_t moment = 0; moment < 30; ++moment) {
      std::size_t bytes = 0;
      for (const Tenant& tenant : tenants)
        if (tenant.first <= moment && moment <= tenant.last) bytes += tenant.bytes;
      together = std::max(together, bytes);
    }
    const MemoryPlan plan = plan_memory(tenants);
    EXPECT_GE(plan.bytes, together);
    for (std::size_t a = 0; a < tenants.size(); ++a) {
      EXPECT_EQ(plan.offsets[a] % 128, 0u);
      EXPECT_LE(plan.offsets[a] + tenants[a].bytes, plan.bytes);
      for (std::size_t b = 0; b < a; ++b) {
        const bool meet = tenants[a].first <= tenants[b].last && tenants[b].first <= tenants[a].last;
        const bool overlap = plan.offsets[a] < plan.offsets[b] + tenants[b].bytes &&
                             plan.offsets[b] < plan.offsets[a] + tenants[a].bytes;
        EXPECT_FALSE(meet && overlap) << a << " and " << b;
      }
    }
  }
}

}  // namespace
}  // namespace rubato::model
