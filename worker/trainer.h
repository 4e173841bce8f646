// The compute side of a worker: takes orders, and reports gradients and evaluations. It knows models and
// data, and of the protocol only what compute_port.h says.
//
// In a process it runs on the compute thread, where `next_order` waits; the simulator calls it when all
// orders that it will ask for are there. Between steps it keeps nothing that a step's results depend on, but
// the weights of its clock, for nodes that are added to it; what local steps keep is the caller's. So the workers
// of a simulation share one.
//
// Thread-safety: belongs to the thread that calls run().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/job.h"
#include "base/ring.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "kernels/backend.h"
#include "model/model.h"
#include "worker/local_runner.h"
#include "worker/step_runner.h"
#include "worker/weight_table.h"

namespace rubato::worker {

class Trainer : private model::WeightSource {
 public:
  using NextOrder = std::function<std::optional<ComputeOrder>()>;  // nothing: stop
  using Report = StepRunner::Report;

  // What it computes on; trainers of one process may share it. The test set is nothing where nobody evaluates, and
  // without evaluation.holdout nothing is held out.
  struct Datasets {
    std::shared_ptr<const data::Dataset> train, held_out, test;
  };
  // Errors: kData.
  [[nodiscard]] static Result<Datasets> open_datasets(const Job& job, Role role);

  // Opens device, model and, unless they are given, data. Errors: kDevice, kMemory, kData, kUsage, with what to do.
  [[nodiscard]] static Result<std::unique_ptr<Trainer>> open(const Job& job, NodeId self, const std::string& run_dir);
  [[nodiscard]] static Result<std::unique_ptr<Trainer>> open(const Job& job, NodeId self, const std::string& run_dir,
                                                             Datasets datasets);
  ~Trainer() override;

  // What data of this shape is to the job's model.
  struct ModelInput {
    model::InputShape shape;
    std::int64_t classes = 0;  // or numbers to be predicted
  };
  [[nodiscard]] static ModelInput model_input(const Job& job, const data::DatasetSize& data);
  // The samples of a leaf, at most, and of those computed at a time. / The job's model, as a member of this role
  // computes it on data of this shape. Errors: kUsage.
  [[nodiscard]] static std::int64_t leaf_max(const Job& job);
  [[nodiscard]] static std::int64_t computed_max(const Job& job);
  [[nodiscard]] static Result<std::unique_ptr<model::Model>> make_model(const Job& job, const data::DatasetSize& data,
                                                                        kernels::Device& device, Role role);

  // For the registration.
  [[nodiscard]] protocol::Manifest manifest() const;
  [[nodiscard]] const std::string& data_fingerprint() const { return data_.train->fingerprint(); }
  [[nodiscard]] std::uint64_t train_samples() const { return data_.train->size(); }
  // What its samples look like; how many bytes they take is left out.
  [[nodiscard]] data::DatasetSize data_size() const {
    return {.samples = train_samples(),
            .shape = data_.train->shape(),
            .target_floats = data_.train->target_floats(),
            .lengths = data_.train->has_lengths()};
  }
  [[nodiscard]] std::string device_description() const { return device_->description(); }
  // Of the leaves computed so far, how many had been read before their step began.
  [[nodiscard]] std::uint64_t read_ahead() const { return loader_->hits(); }

  // After the Welcome, before the first order.
  // `memory` is where what is pushed is to lie; nothing: anywhere.
  void set_routing(const protocol::RoutingTable& routing, const std::shared_ptr<Memory>& memory = nullptr);

  // What it says where set_routing() throws std::bad_alloc, or a step does.
  [[nodiscard]] Error no_memory() const;

  // Whatever it does in a step is drawn there. Before set_routing().
  void draw(timeline::Lane* lane) { lane_ = lane; }

  // Carries out orders until there are no more, or StopComputing. Errors are reported too. `kept` is the worker's,
  // and the same for all of its steps.
  void run(const NextOrder& next_order, const Report& report, WorkerState& kept);

 private:
  Trainer(const Job& job, std::string run_dir, Datasets datasets)
      : job_(job), run_dir_(std::move(run_dir)), data_(std::move(datasets)) {}

  std::span<const float> weights(std::size_t parameter) override;
  Version version(std::size_t parameter) override { return table_->changes(parameter); }
  [[nodiscard]] Result<StepComputed> try_step(const ComputeStep& order, const Report& report, WorkerState& kept);
  [[nodiscard]] Result<StepComputed> run_step(const ComputeStep& order, const Report& report, WorkerState& kept);
  [[nodiscard]] Result<protocol::EvaluationDone> evaluate(const EvaluateWeights& order);
  [[nodiscard]] Status keep_or_test(const EvaluateWeights& order, protocol::EvaluationDone& done);
  [[nodiscard]] std::string in_run(const char* file) const { return run_dir_ + "/" + file; }
  void take_all(Clock clock, const std::vector<Payload>& slices);
  [[nodiscard]] std::optional<ComputeOrder> take_order();
  void take_weights(const SliceWeights& weights);
  void show_life();
  [[nodiscard]] std::uint64_t held_bytes() const;

  const Job job_;
  const std::string run_dir_;
  std::unique_ptr<kernels::Device> device_;
  Datasets data_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<data::Loader> loader_;
  data::BatchBuffer evaluated_;  // of an evaluation, the batch at hand
  protocol::RoutingTable routing_;
  std::optional<SliceLayout> layout_;
  std::optional<WeightTable> table_;
  std::unique_ptr<StepRunner> runner_;
  std::unique_ptr<LocalRunner> local_;  // in local:H

  const NextOrder* next_order_ = nullptr;  // while run() is running
  Ring<ComputeOrder> put_aside_;           // came while a step waited for weights
  Clock clock_ = 0;                        // of the step that is computed
  std::uint64_t blocked_ns_ = 0;
  const Report* report_ = nullptr;  // while it is
  TimeNs shown_ = 0;                // when the step began, or a sign of life was given
  timeline::Lane* lane_ = nullptr;
};

}  // namespace rubato::worker
