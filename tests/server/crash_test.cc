// What a shard leaves that is killed in the middle of whatever it does: of each slice one version, whole, with weights,
// optimizer state and marks of one moment, to the bit.
//
// A process runs a shard over memory that this one holds, and pushes to it at full speed. It is killed at a random
// moment, also while it takes over what the one before it has left; then its memory is compared with a model that
// makes the same updates here, and the next process goes on from there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <deque>
#include <ostream>
#include <tuple>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "server/shard_core.h"
#include "tests/server/device_under_test.h"
#include "transport/shm/shared_heap.h"

namespace rubato::server {
namespace {

using protocol::Fate;
using transport::Descriptor;
using transport::SharedMemory;

constexpr std::size_t kHeldBytes = std::size_t{1} << 30;  // sparse
// Some that stay in the cache, and some so large that they are written past it.
constexpr std::uint64_t kSmall = 1 << 14, kLarge = 1 << 18;
using Elements = std::array<std::uint64_t, 8>;
constexpr Elements kBothKinds{kSmall, kSmall, kLarge, kSmall, kSmall, kLarge, kSmall, kSmall};
// Some so small that publishing them is most of what there is to do.
constexpr Elements kTiny{16, 16, 16, 16, 16, 16, 16, 16};
constexpr std::uint32_t kWorkers = 2;
constexpr double kRate = 0.01;

struct Setting {
  const char *name, *mode, *rule;
  Elements elements;
  int kills, alive_us_max;
  double average = 0.0;
  friend std::ostream& operator<<(std::ostream& out, const Setting& setting) { return out << setting.name; }
};

Job job_of(const Setting& setting) {
  Job job;
  job.consistency.mode = setting.mode;
  job.optimizer.name = setting.rule;
  job.optimizer.rate = kRate;
  job.cluster.workers = kWorkers;
  job.train.micro_batches = kWorkers;
  job.train.seed = 7;
  job.evaluation.average = setting.average;
  return job;
}

protocol::Manifest manifest_of(const Elements& elements) {
  protocol::Manifest parameters;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    ParameterSpec spec;
    spec.name = "w" + std::to_string(i);
    spec.shape = {static_cast<std::int64_t>(elements[i])};
    spec.initializer = {InitializerKind::kOnes, 0.0f};
    parameters.push_back(std::move(spec));
  }
  return parameters;
}

std::vector<protocol::SliceSpec> placement_of(const Elements& elements) {
  std::vector<protocol::SliceSpec> slices;
  for (std::uint32_t i = 0; i < elements.size(); ++i) slices.push_back({0, {{i, 0, elements[i]}}});
  return slices;
}

protocol::Register registration(const Job& job) {
  protocol::Register details;
  details.nonce = 1;
  details.job_hash = job_hash(job);
  return details;
}

// The n-th push of a slice is always the same. In an aggregate there are two of a clock.
class Pushes {
 public:
  explicit Pushes(const Elements& elements)
      : elements_(elements), values_(std::make_shared<std::vector<float>>(2 * kLarge)) {
    RandomStream random(11);
    for (float& value : *values_) value = static_cast<float>(random.next_unit()) - 0.5f;
  }
  [[nodiscard]] Payload gradient(SliceId slice, std::uint64_t number) const {
    const std::size_t first = (number * 16 + std::size_t{slice} * 4096) % kLarge;
    return {values_, std::as_bytes(std::span(*values_).subspan(first, elements_[slice]))};
  }
  // Of all pushes of a clock alike.
  [[nodiscard]] static bool is_empty(std::uint64_t clock) { return clock % 5 == 4; }

  [[nodiscard]] protocol::Push push(SliceId slice, std::uint64_t number, bool aggregate) const {
    protocol::Push push;
    push.slice = slice;
    push.clock = static_cast<Clock>(number / kWorkers);
    if (aggregate) push.node = {0, static_cast<std::uint32_t>(number % kWorkers)};
    push.rate = kRate;
    if (is_empty(number / kWorkers)) return push;
    push.samples = 3;
    push.gradient = gradient(slice, number);
    return push;
  }

 private:
  Elements elements_;
  std::shared_ptr<std::vector<float>> values_;
};

// ---- the process that is killed ---------------------------------------------------------------------

protocol::Welcome welcome_of(const Setting& setting, std::uint32_t incarnation) {
  protocol::Welcome welcome{
      incarnation, 1, manifest_of(setting.elements), {1, placement_of(setting.elements), {"here"}}, {}};
  for (std::uint32_t rank = 0; rank < kWorkers; ++rank) welcome.active.push_back({rank, 1, 0});
  return welcome;
}

// For ever. `done`: pushes of each slice that are settled.
[[noreturn]] void serve(const Setting& setting, const Pushes& pushes, Descriptor held,
                        const std::vector<Remains>& remains, std::vector<std::uint64_t> done) {
  const Job job = job_of(setting);
  auto memory = SharedMemory::adopt(std::move(held), kHeldBytes);
  RUBATO_CHECK(memory.ok());
  const auto heap = std::make_shared<transport::SharedHeap>(std::move(memory).value(), HeldRoot::kBytes);
  HeldRoot::lay(heap->held(), 0, 1);
  ShardCore core(server_node(0), job, registration(job), {}, std::uint64_t{1} << 40, heap, remains, {},
                 device_under_test());
  protocol::Outbox out;
  const auto tell = [&](NodeId from, protocol::Body body) {
    out.clear();
    core.receive(0, {.from = from, .to = server_node(0), .incarnation = 1}, std::move(body), out);
    RUBATO_CHECK(!out.end, "{}", out.end->text);
  };
  core.start(0, out);
  tell(kSchedulerNode, welcome_of(setting, remains.empty() ? 1 : 2));
  RUBATO_CHECK(core.refused() == 0);

  const bool aggregate = job.consistency.mode == "bsp";
  std::deque<Payload> read;
  for (;;)
    for (SliceId slice = 0; slice < done.size(); ++slice) {
      const std::uint64_t number = done[slice]++;
      const NodeId worker = worker_node(static_cast<std::uint32_t>(number % kWorkers));
      const protocol::Push push = pushes.push(slice, number, aggregate);
      for (std::uint64_t time = 0; time < 1 + (number % 7) / 6; ++time) tell(worker, push);
      if (number % 3 > 0) continue;
      tell(worker, protocol::Pull{.slice = slice});  // whoever reads keeps slots
      for (auto& message : out.messages)
        if (auto* weights = std::get_if<protocol::Weights>(&message.body)) read.push_back(std::move(weights->weights));
      while (read.size() > 5) read.pop_front();
    }
}

// ---- the model of what it ought to leave ------------------------------------------------------------

auto fields(const Mark& mark) {
  return std::tuple(mark.slice, mark.clock, mark.node, mark.fate, mark.version, mark.age, mark.floor);
}

class Model {
 public:
  Model(const Setting& setting, SliceId slice, const Pushes& pushes)
      : rule_(rule_of(job_of(setting))),
        aggregate_(setting.mode == std::string("bsp")),
        slice_(slice),
        pushes_(pushes),
        manifest_(manifest_of(setting.elements)),
        spec_(placement_of(setting.elements)[slice]),
        pool_(SlotPool::create({.elements = spec_.elements(),
                                .planes = kernels::state_planes(rule_.kind),
                                .average = rule_.keeps_average()},
                               {.slices = 1})
                  .value()),
        current_(pool_->take()),
        marks_(aggregate_ ? 0 : kWorkers) {
    initial_weights(spec_, manifest_, {job_of(setting).train.seed, {}}, current_->view().weights);
    for (std::span<float> plane : current_->view().state) std::ranges::fill(plane, 0.0f);
    if (rule_.keeps_average()) std::ranges::copy(current_->view().weights, current_->view().average.begin());
  }

  // Pushes settled; in an aggregate, those of settled clocks.
  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] static std::uint64_t done_of(const VersionTable::Inheritance& found) {
    std::uint64_t done = found.marks.empty() ? static_cast<std::uint64_t>(found.version.settled) * kWorkers : 0;
    for (const Mark& mark : found.marks)
      if (mark.fate != Fate::kNone) done += static_cast<std::uint64_t>(mark.clock) + 1;
    return done;
  }

  void advance(std::uint64_t done) {
    while (done_ < done) aggregate_ ? settle_clock() : settle_push();
  }

  [[nodiscard]] std::string difference(const VersionTable::Inheritance& found) const {
    if (found.version.version != version_)
      return fmt::format("version {}, expected {}", found.version.version, version_);
    if (aggregate_ && found.version.fate != fate_) return "another fate";
    for (std::size_t rank = 0; rank < marks_.size(); ++rank)
      if (fields(found.marks[rank]) != fields(marks_[rank])) return fmt::format("another mark of worker-{}", rank);
    const kernels::SlotView view = current_->view();
    const std::size_t stride = found.weights.size();
    if (!same(found.weights, view.weights)) return "other weights";
    for (std::size_t plane = 0; plane < kernels::state_planes(rule_.kind); ++plane)
      if (!same(found.state.subspan(plane * stride, stride), view.state[plane]))
        return fmt::format("another plane {} of state", plane);
    if (rule_.keeps_average() && !same(found.state.last(stride), view.average)) return "another average";
    return {};
  }

 private:
  static bool same(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
  }

  void settle_push() {
    const protocol::Push push = pushes_.push(slice_, done_, false);
    const std::uint64_t age = version_;  // all were computed on version 0
    const bool empty = push.gradient.empty();
    const kernels::SumTerm gradient{empty ? std::span<const float>() : push.gradient.floats()};
    if (!empty) update({&gradient, 1}, push.samples, age);
    marks_[done_ % kWorkers] = {.slice = slice_,
                                .clock = push.clock,
                                .node = {},
                                .fate = empty ? Fate::kEmpty : Fate::kApplied,
                                .version = version_,
                                .age = age,
                                .floor = static_cast<std::int64_t>((done_ + 1) / kWorkers)};
    ++done_;
  }

  void settle_clock() {
    const Payload left = pushes_.gradient(slice_, done_), right = pushes_.gradient(slice_, done_ + 1);
    const std::array<kernels::SumTerm, 2> terms{{{left.floats(), 0}, {right.floats(), 1}}};
    const bool empty = Pushes::is_empty(done_ / kWorkers);
    if (!empty) update(terms, 6, 0);
    fate_ = empty ? Fate::kEmpty : Fate::kApplied;
    done_ += kWorkers;
  }

  void update(std::span<const kernels::SumTerm> terms, std::uint64_t samples, Version age) {
    SlotRef next = pool_->take();
    const Contribution contribution{terms, samples, samples, age, {}};
    ASSERT_TRUE(apply_update(rule_, spec_, manifest_, {{&contribution, 1}, kRate, ++version_},
                             std::as_const(*current_).view(), next->view()));
    pool_->drop_state(*current_);
    current_ = std::move(next);
  }

  const kernels::RuleConfig rule_;
  const bool aggregate_;
  const SliceId slice_;
  const Pushes& pushes_;
  const protocol::Manifest manifest_;
  const protocol::SliceSpec spec_;
  std::shared_ptr<SlotPool> pool_;
  SlotRef current_;
  std::vector<Mark> marks_;
  Version version_ = 0;
  Fate fate_ = Fate::kNone;
  std::uint64_t done_ = 0;
};

// ---- the kills --------------------------------------------------------------------------------------

class Crash : public testing::TestWithParam<Setting> {
 protected:
  // Starts a server on new memory, kills it after so long, and takes its memory instead of what there was, if it got
  // so far that there is a table.
  void run_and_kill(useconds_t alive_us) {
    Descriptor held(::memfd_create("rubato-crash-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_TRUE(held);
    std::vector<std::uint64_t> done;
    for (const Model& model : models_) done.push_back(model.done());
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(GetParam(), pushes_, std::move(held), remains_, done);
    }
    ::usleep(alive_us);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself: " << status;

    auto memory = SharedMemory::map(std::move(held), SharedMemory::Access::kRead);
    if (!memory.ok()) return;  // not even begun
    const auto left = std::make_shared<SharedMemory>(std::move(memory).value());
    if (HeldRoot::find(left->bytes(), 0).value() == 0) return;
    remains_ = {{left, left->bytes()}};
    ++takeovers_;
    check();
  }

  void check() {
    const VersionTable::Subject subject{job_hash(job_of(GetParam())),
                                        protocol::placement_hash(placement_of(GetParam().elements)), 0, kSlices,
                                        GetParam().mode == std::string("bsp") ? 0 : kWorkers};
    const auto bytes = remains_.front().bytes;
    const auto reader = VersionTable::Reader::open(subject, bytes, HeldRoot::find(bytes, 0).value());
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    const kernels::RuleConfig rule = rule_of(job_of(GetParam()));
    const std::size_t planes = kernels::state_planes(rule.kind) + (rule.keeps_average() ? 1 : 0);
    for (SliceId slice = 0; slice < kSlices; ++slice) {
      Model& model = models_[slice];
      const std::uint64_t elements = GetParam().elements[slice];
      const auto found = reader->read(slice, slice, elements, elements, planes * elements);
      ASSERT_TRUE(found.ok()) << found.error().message;
      ASSERT_GE(Model::done_of(*found), model.done()) << "what was settled is settled";
      updates_ += Model::done_of(*found) - model.done();
      model.advance(Model::done_of(*found));
      ASSERT_EQ(model.difference(*found), "") << "of slice " << slice << ", life " << takeovers_;
    }
  }

  static constexpr std::uint32_t kSlices = Elements().size();
  const Pushes pushes_{GetParam().elements};
  std::vector<Model> models_ = [this] {
    std::vector<Model> models;
    for (SliceId slice = 0; slice < kSlices; ++slice) models.emplace_back(GetParam(), slice, pushes_);
    return models;
  }();
  std::vector<Remains> remains_;
  int takeovers_ = 0;
  std::uint64_t updates_ = 0;
};

// Else the life behind it would inherit from the one before it.
TEST_P(Crash, WhoHasNoMemoryThatOutlivesItDoesNotGoOn) {
  for (useconds_t alive_us = 20'000; remains_.empty() && alive_us < 10'000'000; alive_us *= 2) run_and_kill(alive_us);
  ASSERT_FALSE(remains_.empty());
  const Job job = job_of(GetParam());
  ShardCore core(server_node(0), job, registration(job), {}, std::uint64_t{1} << 40,
                 std::make_shared<transport::SharedHeap>(), remains_, {}, device_under_test());
  protocol::Outbox out;
  core.start(0, out);
  out.clear();
  core.receive(0, {.from = kSchedulerNode, .to = server_node(0), .incarnation = 1}, welcome_of(GetParam(), 2), out);
  ASSERT_TRUE(out.end);
  EXPECT_EQ(out.end->exit_code, static_cast<int>(Cause::kMemory));
  EXPECT_THAT(out.end->text, testing::HasSubstr("has no memory that outlives it in its turn"));
}

TEST_P(Crash, LeavesOneWholeVersionOfEachSlice) {
  RandomStream random(3);
  for (int kill = 0; kill < GetParam().kills; ++kill) {
    run_and_kill(static_cast<useconds_t>(random.next_unit() * GetParam().alive_us_max * kSlower));
    if (HasFatalFailure()) return;
  }
  RecordProperty("lives that took over", takeovers_);
  RecordProperty("pushes settled", static_cast<int>(updates_));
  EXPECT_GT(takeovers_, 0);
  EXPECT_GT(updates_, kSlices);
}

INSTANTIATE_TEST_SUITE_P(Rules, Crash,
                         testing::Values(Setting{"momentum", "asp", "momentum", kBothKinds, 100, 30000},
                                         Setting{"adam", "asp", "adam", kBothKinds, 100, 30000},
                                         Setting{"adam_of_sums", "bsp", "adam", kBothKinds, 100, 30000},
                                         Setting{"averaged_momentum", "asp", "momentum", kBothKinds, 100, 30000, 0.99},
                                         Setting{"tiny_momentum", "asp", "momentum", kTiny, 400, 3000},
                                         Setting{"tiny_adam_of_sums", "bsp", "adam", kTiny, 400, 3000}),
                         [](const auto& setting) { return setting.param.name; });

}  // namespace
}  // namespace rubato::server
