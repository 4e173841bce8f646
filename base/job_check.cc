// What no key of a job can know alone, the syntax of devices, and notes for people.
#include <fmt/format.h>

#include <algorithm>

#include "base/fault.h"
#include "base/job.h"
#include "base/job_schema.h"
#include "base/layer_text.h"
#include "base/nearest.h"
#include "base/pretraining.h"
#include "base/rule_change.h"
#include "base/whole_number.h"

namespace rubato {
namespace {

constexpr double kLeastClip = 1e-30, kLeastWeight = 1e-30;

class Checker {
 public:
  Checker(const Job& job, const Where& where) : job_(job), where_(where) {}

  Status run() const {
    RUBATO_TRY(check_model_and_data());
    RUBATO_TRY(check_clipping());
    RUBATO_TRY(check_train());
    RUBATO_TRY(check_average());
    RUBATO_TRY(check_cluster());
    RUBATO_TRY(check_faults());
    return check_changes();
  }

 private:
  template <class... Arguments>
  Error wrong(std::string_view key, fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kUsage,
            fmt::format("{}: {} {}", where_(key), key, fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  Status check_model_and_data() const {
    const ModelConfig& model = job_.model;
    const DataConfig& data = job_.data;
    if ((model.name == "quadratic") != (data.kind == "synthetic")) {
      return wrong("data.kind", "= \"{}\" does not go with model.name = \"{}\": quadratic and synthetic go together",
                   data.kind, model.name);
    }
    if (model.name == "mlp" && model.hidden.empty()) {
      return wrong("model.hidden", "is empty: give widths, as in [128, 64], or use model.name = \"logistic\"");
    }
    if (model.name == "dbn") RUBATO_TRY(check_pretraining());
    if (model.name == "layers") RUBATO_TRY(check_network());
    if (model.name == "cnn" && model.channels.empty()) {
      return wrong("model.channels", "is empty: give one number for each convolution, as in [32, 64]");
    }
    if (model.name == "gpt" && data.kind != "text")
      return wrong("data.kind", "= \"{}\" does not go with model.name = \"gpt\", which reads tokens: use \"text\"",
                   data.kind);
    if (model.name == "gpt" && model.loss != "cross_entropy")
      return wrong("model.loss", "= \"{}\" does not go with model.name = \"gpt\": set it to \"cross_entropy\"",
                   model.loss);
    if (model.name == "gpt" && model.width % model.heads != 0)
      return wrong("model.heads", "= {} does not divide model.width = {}", model.heads, model.width);
    if (model.label_smoothing > 0.0 && model.loss != "cross_entropy")
      return wrong("model.label_smoothing", "= {} does not go with model.loss = \"{}\": it is for cross_entropy",
                   model.label_smoothing, model.loss);
    RUBATO_TRY(check_class_weights());
    if (model.name == "quadratic" && !model.pretrained.empty()) {
      return wrong("model.pretrained", "does not go with model.name = \"quadratic\", whose weights nobody else has");
    }
    if (model.name == "quadratic" && !job_.optimizer.groups.empty()) {
      return wrong("optimizer.groups", "does not go with model.name = \"quadratic\", which has one parameter");
    }
    if (model.loss == "binary_cross_entropy" && data.classes != 2) {
      return wrong("model.loss", "= \"binary_cross_entropy\" needs data.classes = 2, not {}", data.classes);
    }
    return check_data(job_, where_);
  }

  Status check_class_weights() const {
    const ModelConfig& model = job_.model;
    const bool given = !model.class_weights.empty(), balanced = model.class_weighting != "none";
    if (!given && !balanced) return {};
    const char* const key = given ? "model.class_weights" : "model.class_weighting";
    if (given && balanced)
      return wrong(key, "and model.class_weighting = \"{}\" both weigh classes: give one of them",
                   model.class_weighting);
    if (model.name == "quadratic" || model.loss == "mse")
      return wrong(key, "does not go with {}, which has no classes: it is for cross_entropy and binary_cross_entropy",
                   model.name == "quadratic" ? "model.name = \"quadratic\"" : "model.loss = \"mse\"");
    if (given && std::ssize(model.class_weights) != job_.data.classes)
      return wrong(key, "has {} numbers, and data.classes = {}: give one for each class", model.class_weights.size(),
                   job_.data.classes);
    const auto odd = [](double weight) { return weight > 0.0 && weight < kLeastWeight; };
    if (const auto found = std::ranges::find_if(model.class_weights, odd); found != model.class_weights.end())
      return wrong(key, "has {}, {}: each must be 0, or at least {}", *found,
                   place_text(static_cast<std::size_t>(found - model.class_weights.begin()), model.class_weights.size(),
                              Range{.each_of = "class"}),
                   kLeastWeight);
    if (given && std::ranges::max(model.class_weights) == 0.0) return wrong(key, "are all 0: no class would count");
    return {};
  }

  Status check_pretraining() const {
    const ModelConfig& model = job_.model;
    if (model.hidden.empty())
      return wrong("model.hidden", "is empty: give the width of each machine of a dbn, as in [500, 500]");
    const std::uint64_t pretraining = pretraining_epochs(model);
    if (job_.train.steps == 0 && static_cast<std::uint64_t>(job_.train.epochs) <= pretraining)
      return wrong("train.epochs",
                   "= {} leaves none for the labels: {} machines are trained for model.pretrain_epochs = {} each; set "
                   "it to {} or more",
                   job_.train.epochs, model.hidden.size(), model.pretrain_epochs, pretraining + 1);
    return {};
  }

  Status check_network() const {
    if (job_.model.network.empty())
      return wrong("model.network", "is empty: give a text for each layer, as in [\"dense 64 relu\", \"dense 10\"]");
    std::size_t item = 0;
    const auto network = parse_network(job_.model.network, &item);
    if (network.ok()) return {};
    return network.error().in(fmt::format("{}: model.network", where_(item_path("model.network", item))));
  }

  // What is further from 1 than this is 0 in the 32 bits that gradients have.
  Status check_clipping() const {
    const OptimizerConfig& optimizer = job_.optimizer;
    for (const auto& [key, value] : {std::pair("optimizer.clip_value", optimizer.clip_value),
                                     std::pair("optimizer.clip_norm", optimizer.clip_norm)})
      if (value > 0 && value < kLeastClip)
        return wrong(key, "= {}: must be 0, which is off, or at least {}", value, kLeastClip);
    return {};
  }

  Status check_train() const {
    const TrainConfig& train = job_.train;
    if (train.epochs == 0 && train.steps == 0) {
      return wrong("train.epochs", "and train.steps are both 0: nothing to do; set one of them");
    }
    const Mode mode = parse_mode(job_.consistency.mode).value();
    if (mode.kind == Mode::Kind::kBackup && mode.backups >= job_.cluster.workers) {
      return wrong(
          "consistency.mode",
          "= \"{}\" leaves nobody to wait for: the number of backup workers must be below cluster.workers = {}",
          job_.consistency.mode, job_.cluster.workers);
    }
    if (mode.kind == Mode::Kind::kSoftsync && mode.splits > job_.cluster.workers) {
      return wrong("consistency.mode",
                   "= \"{}\" asks for more updates than pushes: its number must be at most cluster.workers = {}",
                   job_.consistency.mode, job_.cluster.workers);
    }
    if (is_leased(job_)) RUBATO_TRY(check_leases(mode));
    if (mode.local()) return check_local(mode);
    return mode.kind == Mode::Kind::kBsp ? check_leaves() : Status();
  }

  // Only an evaluator reads averages; workers train on the weights themselves.
  Status check_average() const {
    const EvaluationConfig& evaluation = job_.evaluation;
    if (evaluation.average == 0.0 || evaluation.enabled) return {};
    return wrong("evaluation.average",
                 "= {} averages weights for evaluations, and none are made: set evaluation.enabled = true, or average "
                 "to 0",
                 evaluation.average);
  }

  // A lease is taken by whoever is ready for it.
  Status check_leases(const Mode& mode) const {
    if (mode.kind != Mode::Kind::kBsp && mode.kind != Mode::Kind::kBackup && !mode.local()) return {};
    return wrong(
        "data.shards",
        "= \"leased\" does not go with consistency.mode = \"{}\", which says beforehand who computes what: use "
        "\"static\", or asp, ssp, dssp or softsync",
        job_.consistency.mode);
  }

  Status check_local(const Mode& mode) const {
    constexpr std::int64_t kSamplesMax = std::int64_t{1} << 31;  // pushes count them in 32 bits
    if (mode.local_steps > kSamplesMax / job_.train.batch) {
      return wrong("consistency.mode", "= \"{}\" with train.batch = {} is more than 2^31 samples a clock",
                   job_.consistency.mode, job_.train.batch);
    }
    const OuterConfig& outer = job_.optimizer.outer;
    const std::int64_t delay = outer_delay(job_);
    if (outer.spread * static_cast<double>(delay) > 1.0) {
      return wrong("optimizer.outer.spread", "= {} is more than 1 / {}, one over optimizer.outer.delay{}", outer.spread,
                   delay, outer.delay == 0 ? " (cluster.workers, as it is 0)" : "");
    }
    return {};
  }

  Status check_leaves() const {
    const TrainConfig& train = job_.train;
    if (train.batch < train.micro_batches) {
      return wrong("train.batch",
                   "= {} is less than train.micro_batches = {}: in bsp a batch is cut into so many leaves; raise the "
                   "one or lower the other",
                   train.batch, train.micro_batches);
    }
    if (job_.cluster.workers > train.micro_batches) {
      return wrong("cluster.workers",
                   "= {} is more than train.micro_batches = {}: in bsp each worker needs a leaf; set "
                   "train.micro_batches to {} or more, or use fewer workers",
                   job_.cluster.workers, train.micro_batches, job_.cluster.workers);
    }
    return {};
  }

  Status check_cluster() const {
    const ClusterConfig& cluster = job_.cluster;
    if (cluster.min_workers > cluster.workers) {
      return wrong("cluster.min_workers", "= {} is more than cluster.workers = {}", cluster.min_workers,
                   cluster.workers);
    }
    if (cluster.slice_bytes % 4 != 0) {
      return wrong("cluster.slice_bytes", "= {} must be a multiple of 4, the bytes of a weight", cluster.slice_bytes);
    }
    if (cluster.http_port != 0 && cluster.http_port == cluster.scheduler_port) {
      return wrong("cluster.http_port", "= {} is cluster.scheduler_port too: two things cannot listen on one port",
                   cluster.http_port);
    }
    return {};
  }

  // Faults are of whole processes: of a server with several shards, the first one's name stands for it.
  Status check_faults() const {
    std::vector<std::string> members{"scheduler", "evaluator-0"};
    for (std::int64_t rank = 0; rank < job_.cluster.workers; ++rank) members.push_back(fmt::format("worker-{}", rank));
    for (std::int64_t process = 0; process < job_.cluster.servers; ++process)
      members.push_back(fmt::format("server-{}", process * job_.cluster.shard_threads));
    for (const std::string& text : job_.simulation.faults) {
      RUBATO_ASSIGN(const Fault fault, parse_fault(text));
      if (fault.kind == Fault::Kind::kReturn && !fault.member.starts_with("worker-"))
        return wrong("simulation.faults", "has \"{}\": only workers come back", text);
      if (fault.kind == Fault::Kind::kCrash && !fault.member.starts_with("server-"))
        return wrong("simulation.faults", "has \"{}\": only servers crash; others are killed, and return", text);
      for (const std::string& member : {fault.member, fault.other}) {
        if (member.empty() || std::ranges::find(members, member) != members.end()) continue;
        return wrong("simulation.faults", "has \"{}\": there is no process {} in a job of {} workers and {} servers{}",
                     text, member, job_.cluster.workers, job_.cluster.servers, did_you_mean(nearest(member, members)));
      }
    }
    return {};
  }

  // In the order in which they will be made.
  Status check_changes() const {
    std::vector<TimedRuleChange> changes;
    for (const std::string& text : job_.simulation.changes) {
      RUBATO_ASSIGN(const TimedRuleChange change, parse_timed_rule_change(text));
      changes.push_back(change);
    }
    std::ranges::stable_sort(changes, {}, &TimedRuleChange::at);
    Mode mode = parse_mode(job_.consistency.mode).value();
    for (const TimedRuleChange& change : changes) {
      const Mode next = change.change.mode.value_or(mode);
      if (const Status status = check_mode_change(mode, next); !status.ok())
        return wrong("simulation.changes", "cannot be made: {}", status.error().message);
      mode = next;
    }
    return {};
  }

  const Job& job_;
  const Where& where_;
};

}  // namespace

Status check_job(const Job& job, const Where& where) { return Checker(job, where).run(); }

Status check_device(const std::string& text) {
  const bool numbered = text.starts_with("cuda:") && whole_number(text.substr(5)).has_value();
  if (numbered || text == "auto" || text == "cpu" || text == "cuda") return {};
  return Error{Cause::kUsage, "must be auto, cpu, cuda or cuda:N"};
}

Status check_server_device(const std::string& text) {
  if (text != "auto" && check_device(text).ok()) return {};
  return Error{Cause::kUsage, "must be cpu, cuda or cuda:N"};
}

Status check_plan(const std::string& text) {
  const bool file = text.starts_with("file:") && text.size() > 5;
  if (file || text == "rule" || text == "measure") return {};
  return Error{Cause::kUsage, "must be rule, measure or file:PLAN.json"};
}

std::int64_t outer_delay(const Job& job) {
  return job.optimizer.outer.delay > 0 ? job.optimizer.outer.delay : job.cluster.workers;
}

}  // namespace rubato
