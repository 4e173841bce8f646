#include "base/job_schema.h"

#include <arpa/inet.h>

#include <cctype>

#include "base/fault.h"
#include "base/group_text.h"
#include "base/layer_text.h"
#include "base/rule_change.h"
#include "base/stragglers.h"

namespace rubato {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Allowed between(double low, double high) { return Range{low, high}; }
Allowed at_least(double low) { return Range{low, kInfinity}; }
// Kept in 32 bits by whoever uses it: what is further from 1 becomes 0 or infinite there.
Allowed positive() { return between(1e-30, 1e30); }
Allowed not_negative() { return between(0, 1e30); }
// Seconds that somebody is waited for: not so few that nobody could answer, and no more than nanoseconds can count.
Allowed patience() { return between(0.1, 1e6); }
Allowed fraction_below_one() { return Range{0, 1, false, true}; }  // [0, 1)
Allowed fraction() { return Range{0, 1}; }
Allowed finite() { return Range{}; }
Allowed one_of(std::vector<std::string> names) { return OneOf{std::move(names)}; }

Status check_mode(const std::string& text) {
  RUBATO_TRY(parse_mode(text));
  return {};
}

// One address is listened on and told to the others: a wildcard tells them nothing, and a name may stand for several.
Status check_bind(const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1)
    return Error{Cause::kUsage, "must be an IPv4 address of this host, as in 10.0.0.1"};
  if (address.s_addr == INADDR_ANY)
    return Error{Cause::kUsage, "is a wildcard: give the address by which the others reach this host, as in 10.0.0.1"};
  return {};
}

Status check_sha256(const std::string& text) {
  if (text.empty() || (text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos)) return {};
  return Error{Cause::kUsage, "must be 64 hexadecimal digits in lower case, or nothing"};
}

Status check_separator(const std::string& text) {
  const auto c = static_cast<unsigned char>(text.empty() ? '0' : text.front());
  if (text.size() == 1 && (std::ispunct(c) != 0 || c == ' ' || c == '\t') &&
      text.find_first_of("\"'.+-") == std::string::npos)
    return {};
  return Error{Cause::kUsage, "must be one character, such as \",\", \";\" or \"\\t\""};
}

Status check_fault(const std::string& text) {
  RUBATO_TRY(parse_fault(text));
  return {};
}

Status check_layer(const std::string& text) {
  RUBATO_TRY(parse_layer(text));
  return {};
}

Status check_group(const std::string& text) {
  RUBATO_TRY(parse_group(text));
  return {};
}

Status check_change(const std::string& text) {
  RUBATO_TRY(parse_timed_rule_change(text));
  return {};
}

JobKey unhashed(JobKey key) {
  key.hashed = false;
  return key;
}

// A fingerprint says what it is; where it lies may differ from host to host.
JobKey file_key(std::string path, std::string* slot, std::string help) {
  return {std::move(path), slot, Anything{}, std::move(help), /*hashed=*/false, /*is_path=*/true};
}

void add_model(std::vector<JobKey>& keys, ModelConfig& m) {
  keys.insert(
      keys.end(),
      {{"model.name", &m.name,
        one_of({"quadratic", "logistic", "mlp", "lenet5", "cnn", "resnet18", "resnet34", "resnet50", "lstm", "gru",
                "gpt", "dbn", "layers"}),
        "which network"},
       {"model.hidden", &m.hidden, between(1, 1 << 20), "mlp, dbn: widths of the hidden layers"},
       {"model.activation", &m.activation, one_of({"relu", "tanh", "sigmoid"}), "mlp and lenet5: between their layers"},
       {"model.channels", &m.channels, between(1, 1 << 16), "cnn: channels of each 3x3 convolution"},
       {"model.dense", &m.dense, between(1, 1 << 20), "cnn: width of the dense layer before the last"},
       {"model.stem", &m.stem, one_of({"cifar", "imagenet"}),
        "resnets: cifar for small images, imagenet for those of about 224 x 224"},
       {"model.width", &m.width, between(1, 1 << 12),
        "resnets: channels of the first stage, the next have twice as many; lstm, gru: units; gpt: features"},
       {"model.layers", &m.layers, between(1, 1 << 10), "lstm, gru, gpt: so many, one behind the other"},
       {"model.bidirectional", &m.bidirectional, Anything{},
        "lstm, gru: each layer also reads from the end, with model.width units more"},
       {"model.heads", &m.heads, between(1, 1 << 12), "gpt: heads of its attention; they divide model.width"},
       {"model.dropout", &m.dropout, fraction_below_one(),
        "share of inputs of the last layer dropped; gpt: of what each part gives"},
       {"model.loss", &m.loss, one_of({"cross_entropy", "binary_cross_entropy", "mse"}), "what is minimized"},
       {"model.label_smoothing", &m.label_smoothing, fraction_below_one(),
        "cross_entropy: in training, so much of a label's probability is spread over all classes"},
       {"model.class_weights", &m.class_weights, Range{.low = 0, .high = 1e30, .each_of = "class"},
        "the cross-entropies, in training: of each class; what counts is how they compare; 0: it counts nothing"},
       {"model.class_weighting", &m.class_weighting, one_of({"none", "balanced"}),
        "balanced: one over how often a class comes in the training part"},
       {"model.size", &m.size, between(1, 1 << 30), "quadratic: number of weights"},
       {"model.network", &m.network, Form{"like \"conv 32 kernel=3 relu\"", check_layer},
        "layers: what each does, one after the other: docs/models.md"},
       {"model.pretrain_epochs", &m.pretrain_epochs, between(0, 1'000'000),
        "dbn: passes over the data for each of its machines, the first of train.epochs"},
       {"model.cd_steps", &m.cd_steps, between(1, 1 << 16),
        "dbn: steps of Gibbs sampling to an estimate of a gradient"},
       {"model.persistent", &m.persistent, Anything{},
        "dbn: chains of samples go on from update to update, and do not begin at the data"},
       file_key("model.pretrained", &m.pretrained,
                "a safetensors file with the weights to begin with (docs/models.md); none: they are drawn"),
       {"model.skip", &m.skip, Anything{},
        "pretrained: patterns of names, as \"fc.*\"; their weights are drawn all the same"},
       {"model.pretrained_sha256", &m.pretrained_sha256, Form{"64 hexadecimal digits, or nothing", check_sha256},
        "pretrained: of that file; filled in when the job is resolved, and checked when it is read"}});
}

void add_data(std::vector<JobKey>& keys, DataConfig& d) {
  keys.insert(
      keys.end(),
      {{"data.kind", &d.kind,
        one_of({"idx", "npy", "npz", "cifar", "folder", "csv", "series", "libsvm", "text", "synthetic"}),
        "form of the files (docs/data.md), or synthetic: points made from the seed"},
       file_key("data.path", &d.path,
                "npz, series: the file; cifar, folder: the folder; csv, libsvm: a table to be split; text: a file, or "
                "a folder"),
       file_key("data.train_inputs", &d.train_inputs, "idx, npy: training images; csv, libsvm: the training table"),
       file_key("data.train_labels", &d.train_labels, "idx, npy: their labels"),
       file_key("data.test_inputs", &d.test_inputs, "idx, npy: test images; csv, libsvm: the test table"),
       file_key("data.test_labels", &d.test_labels, "idx, npy: their labels"),
       file_key("data.train_lengths", &d.train_lengths,
                "npy: how many positions of each training sample are there; none: all of them"),
       file_key("data.test_lengths", &d.test_lengths, "npy: the same of test samples"),
       {"data.classes", &d.classes, between(2, 1 << 20), "labels are 0 to classes - 1"},
       {"data.first_label", &d.first_label, between(-1'000'000, 1'000'000),
        "npy, npz, csv, libsvm: what class 0 is called in the files"},
       {"data.ignored_labels", &d.ignored_labels, Anything{},
        "labels as they stand in the files that are none: no loss, and not counted (docs/data.md)"},
       {"data.mean", &d.mean, finite(), "images become (value / greatest - mean) / stddev, of each channel or of all"},
       {"data.stddev", &d.stddev, positive(), "see data.mean"},
       {"data.normalization", &d.normalization, one_of({"given", "imagenet"}),
        "folder: by data.mean and data.stddev, or by those of ImageNet's training images"},
       {"data.image_size", &d.image_size, between(1, 8192), "folder: height and width of an input"},
       {"data.resize", &d.resize, between(0, 16384),
        "folder: the short side becomes this before the centre is cut out; 0 is 8/7 of data.image_size"},
       {"data.channels", &d.channels, between(1, 3),
        "folder: 1 or 3; gray images may become colour, but not the reverse"},
       {"data.crop", &d.crop, one_of({"random", "center"}), "folder, in training: a random part, or as in evaluation"},
       {"data.crop_area", &d.crop_area, positive(), "folder, random: least and greatest share of the image"},
       {"data.crop_ratio", &d.crop_ratio, positive(), "folder, random: least and greatest width over height"},
       {"data.flip", &d.flip, fraction(), "folder, in training: probability that left and right change places"},
       unhashed({"data.readers", &d.readers, between(1, 256), "folder: threads that decode, in each process"}),
       unhashed({"data.cache_mb", &d.cache_mb, between(0, 1 << 20),
                 "folder: of decoded images, kept in each process; 0 keeps none"}),
       {"data.target", &d.target, Anything{},
        "csv, series: what is to be predicted; cifar with 100 classes: fine or coarse"},
       {"data.columns", &d.columns, Anything{}, "csv, series: the columns that are inputs; none: all the others"},
       {"data.group", &d.group, Anything{},
        "csv: rows with the same text in this column stay in one part; folder: images in whose paths this finds the "
        "same"},
       {"data.time", &d.time, Anything{}, "series: a column that rises from line to line, and is no input"},
       {"data.separator", &d.separator, Form{"one character, no letter, digit or quote", check_separator},
        "csv, series: what is between two fields"},
       {"data.missing", &d.missing, one_of({"refuse", "mean", "previous"}),
        "csv, series: an empty field is a bad line, or the training mean, or as in the line before"},
       {"data.scaling", &d.scaling, one_of({"standard", "none"}),
        "csv, series, libsvm: input columns get mean 0 and deviation 1 over the training part"},
       {"data.target_scaling", &d.target_scaling, one_of({"standard", "none"}),
        "csv, series, libsvm: the same of numbers that are to be predicted"},
       {"data.validation_fraction", &d.validation_fraction, fraction_below_one(),
        "csv, libsvm, series, text, folder: share of data.path that is for validation"},
       {"data.test_fraction", &d.test_fraction, fraction_below_one(), "... that is for the test"},
       {"data.split_seed", &d.split_seed, at_least(0),
        "csv, libsvm, folder: of which lines or images go into which part; any: of what is held out"},
       {"data.skip_max", &d.skip_max, between(0, 1e12),
        "csv, series, libsvm, folder: so many bad lines or images may be left out"},
       {"data.features", &d.features, between(0, 1 << 24), "libsvm: inputs of a sample; 0 counts them"},
       {"data.window", &d.window, between(1, 1 << 20), "series: lines that an input is made of; text: bytes"},
       {"data.horizon", &d.horizon, between(1, 1 << 20), "series: lines behind it that are to be predicted"},
       {"data.stride", &d.stride, between(1, 1 << 20), "series: lines from one window to the next; text: bytes"},
       {"data.season", &d.season, between(0, 1 << 20),
        "series: lines after which it comes again, which MASE compares with; 0: compares with the last line"},
       {"data.samples", &d.samples, between(1, 1 << 30), "synthetic: number of training samples"},
       {"data.shards", &d.shards, one_of({"static", "leased"}),
        "how workers share an epoch: equally, or by leases, of which a faster one takes more"}});
}

void add_optimizer(std::vector<JobKey>& keys, OptimizerConfig& o) {
  CompensationConfig& c = o.compensation;
  ScheduleConfig& s = o.schedule;
  OuterConfig& outer = o.outer;
  keys.insert(
      keys.end(),
      {{"optimizer.name", &o.name, one_of({"sgd", "momentum", "nesterov", "adam", "adamw"}), "the update rule"},
       {"optimizer.rate", &o.rate, positive(), "learning rate"},
       {"optimizer.pretrain_rate", &o.pretrain_rate, not_negative(),
        "dbn: learning rate while its machines are trained; 0 is optimizer.rate"},
       {"optimizer.momentum", &o.momentum, fraction_below_one(), "momentum, nesterov"},
       {"optimizer.beta1", &o.beta1, fraction_below_one(), "adam, adamw"},
       {"optimizer.beta2", &o.beta2, fraction_below_one(), "adam, adamw"},
       {"optimizer.epsilon", &o.epsilon, positive(), "adam, adamw"},
       {"optimizer.weight_decay", &o.weight_decay, not_negative(), "per update"},
       {"optimizer.clip_value", &o.clip_value, not_negative(), "each element of a mean gradient is clipped; 0 is off"},
       {"optimizer.clip_norm", &o.clip_norm, not_negative(),
        "workers clip the global norm of their gradient (of each leaf's in bsp); 0 is off"},
       {"optimizer.age_scaling", &o.age_scaling, one_of({"none", "inverse"}),
        "inverse: the rate of a gradient is divided by its age, if that is above 1"},
       {"optimizer.groups", &o.groups, Form{"like \"fc.* rate=10 decay=0\" or \"layer1.* frozen\"", check_group},
        "parameters that are frozen, or have a rate or a weight decay of their own; the first that fits holds"},
       {"optimizer.compensation.name", &c.name, one_of({"none", "constant", "adaptive"}),
        "what is added to gradients whose weights have moved meanwhile"},
       {"optimizer.compensation.lambda", &c.lambda, not_negative(), "how much; 0: 0.04 if constant, 2 if adaptive"},
       {"optimizer.compensation.decay", &c.decay, fraction_below_one(), "adaptive: of the mean square of gradients"},
       {"optimizer.schedule.name", &s.name, one_of({"constant", "step", "cosine"}), "how the rate moves"},
       {"optimizer.schedule.warmup_epochs", &s.warmup_epochs, between(0, 1e6), "first grow linearly from 0"},
       {"optimizer.schedule.step_epochs", &s.step_epochs, between(1e-6, 1e6), "step: every so many epochs ..."},
       {"optimizer.schedule.step_factor", &s.step_factor, Range{0, 1, true}, "... the rate is multiplied by this"},
       {"optimizer.schedule.final_fraction", &s.final_fraction, fraction(), "cosine: last rate over first rate"},
       {"optimizer.outer.name", &outer.name, one_of({"average", "nesterov", "delayed_nesterov"}),
        "local:H: the servers' rule for deltas"},
       {"optimizer.outer.rate", &outer.rate, positive(), "nesterov, delayed_nesterov; average is rate 1"},
       {"optimizer.outer.momentum", &outer.momentum, fraction_below_one(), "nesterov, delayed_nesterov"},
       {"optimizer.outer.delay", &outer.delay, between(0, 1'000'000),
        "delayed_nesterov: updates to one of the momentum; 0 is cluster.workers"},
       {"optimizer.outer.spread", &outer.spread, fraction(),
        "delayed_nesterov: share of the momentum in each update but the last of them"}});
}

void add_consistency(std::vector<JobKey>& keys, ConsistencyConfig& c) {
  keys.insert(keys.end(),
              {{"consistency.mode", &c.mode,
                Form{"bsp, backup:B, softsync:N, ssp:S, dssp:LO..HI, asp, local:H or local:H+MODE", check_mode},
                "who may run ahead of whom, and how pushes become updates"},
               {"consistency.nonfinite", &c.nonfinite, one_of({"skip", "stop"}),
                "on a gradient that is not finite: drop and count it, or end the job"},
               {"consistency.evict_after_s", &c.evict_after_s, patience(),
                "a worker that lives, and of whose step nothing comes for so long, is evicted"}});
}

void add_cluster(std::vector<JobKey>& keys, ClusterConfig& c) {
  keys.insert(
      keys.end(),
      {{"cluster.servers", &c.servers, between(1, 4096), "server processes"},
       {"cluster.workers", &c.workers, between(1, 4096), "worker processes"},
       {"cluster.min_workers", &c.min_workers, between(0, 4096), "enough to start with; 0 waits for all"},
       {"cluster.shard_threads", &c.shard_threads, between(1, 256), "shards of each server process"},
       {"cluster.slice_bytes", &c.slice_bytes, between(64, 1 << 28), "most bytes of a slice; a multiple of 4"},
       {"cluster.transport", &c.transport, one_of({"ipc", "tcp"}), "ipc stays on one host"},
       {"cluster.wire", &c.wire, one_of({"float32", "float16", "bfloat16"}),
        "what gradients and weights are rounded to on their way, whatever the lane"},
       unhashed({"cluster.shared_memory", &c.shared_memory, Anything{},
                 "pushes and pulls go through it wherever a server is on the worker's host"}),
       unhashed({"cluster.bind", &c.bind, Form{"an IPv4 address, no wildcard", check_bind},
                 "address of this host to listen on; the others are told it"}),
       unhashed({"cluster.scheduler_port", &c.scheduler_port, between(0, 65535), "tcp; 0 picks a free one"}),
       unhashed({"cluster.http_port", &c.http_port, between(0, 65535), "the scheduler's status; 0 picks a free one"}),
       unhashed({"cluster.start_timeout_s", &c.start_timeout_s, patience(), "to wait for members at the start"}),
       unhashed({"cluster.lost_after_s", &c.lost_after_s, patience(), "a member silent for so long is lost"}),
       {"cluster.restarts", &c.restarts, between(0, 1'000'000),
        "a worker that dies while the job trains is started again, so many times"}});
}

void add_worker(std::vector<JobKey>& keys, WorkerConfig& w) {
  keys.insert(
      keys.end(),
      {{"worker.device", &w.device, Form{"auto, cpu, cuda or cuda:N", check_device},
        "auto takes a GPU if there is one"},
       {"worker.threads", &w.threads, between(1, 1024), "compute threads; another number may round differently"},
       {"worker.precision", &w.precision, one_of({"float32", "bfloat16", "tf32"}),
        "what convolutions and dense layers multiply; weights and updates are float32 with either"}});
  JobKey plan{"worker.plan", &w.plan, Form{"rule, measure or file:PLAN.json", check_plan},
              "what computes convolutions: by their shapes, the fastest, or as a plan says: docs/running.md"};
  plan.path_prefix = "file:";
  keys.push_back(std::move(plan));
  keys.push_back({"worker.cuda_graphs", &w.cuda_graphs, Anything{},
                  "on a GPU, steps of a fixed shape are launched as one; false: call by call, with the same bits"});
  keys.push_back(
      {"worker.micro_batch", &w.micro_batch, between(0, 1 << 24),
       "but in bsp: samples computed at a time, whose gradients are added up to one push; 0: all of a step's"});
  JobKey stragglers{"worker.stragglers", &w.stragglers,
                    Form{"none, lognormal:0.5, persistent:4x and others", Stragglers::check},
                    "makes steps take longer, simulated and real ones: docs/simulator.md"};
  stragglers.path_prefix = "trace:";
  keys.push_back(std::move(stragglers));
}

void add_simulation(std::vector<JobKey>& keys, SimulationConfig& s) {
  keys.insert(
      keys.end(),
      {{"simulation.step_ms", &s.step_ms, between(1e-6, 1e9), "a step of train.batch samples, without a burden"},
       {"simulation.step_fixed", &s.step_fixed, fraction(), "its share that fewer samples do not shorten"},
       {"simulation.network_us", &s.network_us, between(0, 1e9), "from member to member, at least ..."},
       {"simulation.network_spread_us", &s.network_spread_us, between(0, 1e9), "... and this mean beyond"},
       {"simulation.bandwidth_mb_s", &s.bandwidth_mb_s, between(0, 1e9),
        "of each direction between two members; 0 is unlimited"},
       {"simulation.loss", &s.loss, fraction_below_one(), "probability that a frame never arrives"},
       {"simulation.duplication", &s.duplication, fraction_below_one(), "... that it arrives twice"},
       {"simulation.reordering", &s.reordering, fraction_below_one(), "... that later ones overtake it"},
       {"simulation.evaluation_ms", &s.evaluation_ms, between(0, 1e9), "an evaluation"},
       {"simulation.faults", &s.faults, Form{"like \"kill worker-1 at 3s\"", check_fault},
        "what goes wrong, and when: docs/simulator.md"},
       {"simulation.changes", &s.changes, Form{"like \"set mode=ssp:2 at 3s\"", check_change},
        "other rules on the way: docs/simulator.md"}});
}

void add_rest(std::vector<JobKey>& keys, Job& job) {
  TrainConfig& t = job.train;
  EvaluationConfig& e = job.evaluation;
  DebugConfig& d = job.debug;
  keys.insert(
      keys.end(),
      {{"train.epochs", &t.epochs, between(0, 1'000'000), "passes over the data"},
       {"train.steps", &t.steps, between(0, 1e12),
        "clocks of each worker, with leases on average; 0 leaves it to epochs"},
       {"train.batch", &t.batch, between(1, 1 << 24), "samples of an update in bsp, of a worker's step in other modes"},
       {"train.micro_batches", &t.micro_batches, between(1, 4096), "bsp: leaves that a batch is cut into"},
       {"train.seed", &t.seed, at_least(0), "of weights, order and dropout"},
       unhashed({"train.record", &t.record, Anything{}, "write RUN/record/*.bin, for rubato-sim --replay RUN"}),
       unhashed({"train.timeline", &t.timeline, between(0, 10'000),
                 "draw so many steps, of every process; 0 is none: docs/performance.md"})});
  keys.push_back({"server.device", &job.server.device, Form{"cpu, cuda or cuda:N", check_server_device},
                  "what computes updates; a GPU has the newest weights and their optimizer state in its memory"});
  add_worker(keys, job.worker);
  keys.insert(keys.end(), {{"evaluation.enabled", &e.enabled, Anything{}, "run an evaluator beside the workers"},
                           {"evaluation.every_epochs", &e.every_epochs, between(1, 1'000'000), "and always at the end"},
                           {"evaluation.per_epoch", &e.per_epoch, between(1, 1000),
                            "in such an epoch: so many times, evenly apart"},
                           {"evaluation.batch", &e.batch, between(1, 1 << 24), "samples at a time"},
                           {"evaluation.part", &e.part, one_of({"test", "validation"}), "of the data"},
                           {"evaluation.holdout", &e.holdout, fraction_below_one(),
                            "of the training samples, set aside to decide by: the test set is read once"},
                           {"evaluation.patience", &e.patience, between(0, 1'000'000),
                            "training ends after so many without improvement; 0: never"},
                           {"evaluation.min_delta", &e.min_delta, not_negative(), "improvements are larger than this"},
                           {"evaluation.metric", &e.metric, one_of({"loss", "accuracy"}),
                            "on what is held out: what improves, and which weights are best"},
                           {"evaluation.average", &e.average, fraction_below_one(),
                            "decay of a moving average of the weights: what is evaluated and kept; 0: the weights"},
                           unhashed({"evaluation.timeout_s", &e.timeout_s, patience(),
                                     "the last one may take so long, or 20 of those before"})});
  add_simulation(keys, job.simulation);
  keys.insert(
      keys.end(),
      {unhashed({"debug.trace", &d.trace, Anything{}, "write RUN/trace/*.jsonl for the protocol checker"}),
       {"debug.nonfinite_at", &d.nonfinite_at, at_least(-1), "worker 0 spoils its gradient of this clock; -1 never"},
       {"debug.slow_worker_ms", &d.slow_worker_ms, between(0, 1e6), "worker 0 sleeps so long in every step"}});
}

}  // namespace

std::vector<JobKey> job_keys(Job& job) {
  std::vector<JobKey> keys;
  add_model(keys, job.model);
  add_data(keys, job.data);
  add_optimizer(keys, job.optimizer);
  add_consistency(keys, job.consistency);
  add_cluster(keys, job.cluster);
  add_rest(keys, job);
  return keys;
}

}  // namespace rubato
