// Every test of a program that has this fails of a fault of CUDA's, and of what it has not given back.
#include <gtest/gtest.h>

#include "tests/cuda_fake/fake.h"

namespace rubato::cuda_fake {
namespace {

class Listener final : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    fail_call(0);
    refuse_epilogues(false);
    hide_cudnn(false);
    offer_engines({});
    set_device_count(1);
    set_capability(90);
  }
  void OnTestEnd(const testing::TestInfo&) override {
    for (const std::string& fault : take_faults()) ADD_FAILURE() << fault;
    const Live left = live();
    EXPECT_EQ(left.all(), 0u) << left.allocations << " allocations, " << left.streams << " streams, " << left.handles
                              << " handles, " << left.descriptors << " descriptors, " << left.events << " events, "
                              << left.pinned << " pieces of pinned memory, " << left.graphs << " graphs are left";
  }
};

// Before any test, since gtest_main has the program's main. GoogleTest owns it.
[[maybe_unused]] const bool listens = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Listener);
  return true;
}();

}  // namespace
}  // namespace rubato::cuda_fake
