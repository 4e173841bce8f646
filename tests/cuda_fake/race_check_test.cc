// What the race check notices, and what it lets pass: kernels of a few lines, each right or with one mistake.
#include "tests/cuda_fake/race_check.h"

#include <gmock/gmock.h>

#include "kernels/cuda/cuda_check.h"
#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/host_kernel.h"

namespace rubato::cuda_fake {
namespace {

using kernels::cuda::DeviceFloats;
using kernels::cuda::Stream;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr unsigned kThreads = 8;

unsigned global_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Each thread its own element.
void own(float* values) { values[global_index()] += 1.0f; }

// All read one element, and each writes its own.
void broadcast(float* values) {
  const float first = values[0];
  if (global_index() > 0) values[global_index()] = first;
}

// Each block adds up into the same element: no barrier orders blocks.
void sum_of_blocks(float* values) {
  if (threadIdx.x == 0) values[0] += 1.0f;
}

// Each block by its first thread, into an element that the other block reads.
void neighbours_block(float* values) {
  const float theirs = values[1 - blockIdx.x];
  if (threadIdx.x == 0) values[blockIdx.x] = theirs;
}

// Through memory that the block shares: each thread writes and reads its neighbour's, behind a barrier or not.
void neighbour(float* values, bool barrier, bool barrier_behind) {
  __shared__ float room[kThreads];
  for (int round = 0; round < 2; ++round) {
    room[threadIdx.x] = values[global_index()];
    if (barrier) __syncthreads();
    values[global_index()] = room[(threadIdx.x + 1) % kThreads];
    if (barrier_behind) __syncthreads();
  }
}

// The least of all, in any order.
void atomically(float* values) { atomicMin(&values[0], values[1 + global_index()]); }

// A local array that others' arrays lie in the place of.
void on_its_stack(float* values) {
  float sums[4] = {};
  for (unsigned i = 0; i < 16; ++i) sums[(i + threadIdx.x) % 4] += 1.0f;
  values[global_index()] = sums[threadIdx.x % 4];
}

struct Grid {
  std::size_t blocks = 1;
  unsigned threads = kThreads;
};

class RaceCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RUBATO_ACCESSES_TOLD) GTEST_SKIP() << "kernels are compiled with another sanitizer and tell of no access";
  }

  template <typename... Parameters>
  std::vector<std::string> faults_of(std::size_t blocks, void (*kernel)(float*, Parameters...), Parameters... more) {
    EXPECT_EQ(kernels::cuda::launch(kernel, Grid{blocks}, stream_.get(), device_.data(), more...), cudaSuccess);
    EXPECT_TRUE(stream_.synchronize().ok());
    return take_faults();
  }

  Stream stream_ = Stream::create().value();
  DeviceFloats device_ = DeviceFloats::allocate(4 * kThreads).value();
};

TEST_F(RaceCheckTest, WhatIsAThreadsOwnIsNoRace) {
  EXPECT_THAT(faults_of(2, own), IsEmpty());
  EXPECT_THAT(faults_of(2, on_its_stack), IsEmpty());
}

TEST_F(RaceCheckTest, WhatAllOnlyReadIsNoRace) { EXPECT_THAT(faults_of(2, broadcast), IsEmpty()); }

TEST_F(RaceCheckTest, AtomicOperationsAreNoRace) { EXPECT_THAT(faults_of(2, atomically), IsEmpty()); }

TEST_F(RaceCheckTest, BlocksHaveNoOrder) {
  EXPECT_THAT(faults_of(1, sum_of_blocks), IsEmpty());
  EXPECT_THAT(
      faults_of(2, sum_of_blocks),
      ElementsAre("a race: thread 0 of block 1 reads what thread 0 of block 0 touched, with no barrier between"));
  EXPECT_THAT(faults_of(2, neighbours_block), ElementsAre(HasSubstr("a race")));
}

TEST_F(RaceCheckTest, ABarrierOrdersTheThreadsOfABlock) {
  EXPECT_THAT(faults_of(2, neighbour, true, true), IsEmpty());
  EXPECT_THAT(faults_of(1, neighbour, false, true), ElementsAre(HasSubstr("a race")));
  EXPECT_THAT(faults_of(1, neighbour, true, false), ElementsAre(HasSubstr("a race")));
}

}  // namespace
}  // namespace rubato::cuda_fake
