// The job file, resolved: every key that a job has, with its default. One struct per TOML table.
//
// parse_job is strict. An unknown key is refused with the nearest known name; a wrong type, or a value
// out of range, with what is allowed. Every message is one line. write_job writes every key, so that a
// resolved job file says all that a run depended on; its text is canonical, and parse_job(write_job(j))
// is j. job_hash is the SHA-256 of all keys but those that cannot change a result: addresses, ports and
// timeouts of [cluster], evaluation.timeout_s, debug.trace, train.record, train.timeline, data.readers, data.cache_mb,
// and where data and pretrained weights lie (a fingerprint says what they are).
//
// The ranges and the help of each key are in base/job_schema.cc, the one table that all of this walks.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/mode.h"
#include "base/result.h"

namespace rubato {

struct ModelConfig {
  // quadratic | logistic | mlp | lenet5 | cnn | resnet18 | resnet34 | resnet50 | lstm | gru | gpt | dbn | layers
  std::string name = "mlp";
  std::vector<std::int64_t> hidden;      // mlp, dbn: widths of the hidden layers
  std::string activation = "relu";       // mlp: relu | tanh | sigmoid
  std::vector<std::int64_t> channels;    // cnn: channels of each 3x3 convolution
  std::int64_t dense = 128;              // cnn: width of the dense layer before the last
  std::string stem = "cifar";            // resnets: cifar | imagenet
  std::int64_t width = 64;               // resnets: channels of the first stage; lstm, gru: units; gpt: features
  std::int64_t layers = 1;               // lstm, gru, gpt: one behind the other
  bool bidirectional = false;            // lstm, gru: each layer reads its input from both ends
  std::int64_t heads = 4;                // gpt: of its attention; they divide the width
  double dropout = 0.0;                  // before the last layer (model/architectures.h); 0 is none
  std::string loss = "cross_entropy";    // cross_entropy | binary_cross_entropy | mse
  double label_smoothing = 0.0;          // cross_entropy, in training
  std::vector<double> class_weights;     // both cross-entropies, in training: of each class; none: 1
  std::string class_weighting = "none";  // none | balanced: by how often a class comes in the training part
  std::int64_t size = 64;                // quadratic: number of weights
  std::vector<std::string> network;      // layers: each of them (base/layer_text.h)
  std::int64_t pretrain_epochs = 5;      // dbn: of each of its machines (base/pretraining.h)
  std::int64_t cd_steps = 1;             // dbn: of Gibbs sampling to an estimate
  bool persistent = false;               // dbn: chains go on from update to update
  std::string pretrained;                // a safetensors file of initial weights; none: drawn from the seed
  std::vector<std::string> skip;         // patterns of names whose weights are drawn all the same
  std::string pretrained_sha256;         // of that file; load_job fills it in
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct DataConfig {
  // idx | npy | npz | cifar | folder | csv | series | libsvm | text | synthetic (made from the seed; for quadratic and
  // tests)
  std::string kind = "idx";
  std::string path;  // npz, series: the file; cifar, folder: the folder; csv, libsvm: to be split; text: either
  std::string train_inputs, train_labels, test_inputs, test_labels;  // idx, npy; csv, libsvm: the inputs are tables
  std::string train_lengths, test_lengths;                           // npy: of sequences; none: all are whole
  std::int64_t classes = 10;
  std::int64_t first_label = 0;                // npy, npz, csv, libsvm: the number of class 0 in the files
  std::vector<double> mean{0.0}, stddev{1.0};  // images: of value / greatest value; of all channels, or of each
  std::vector<std::string> target;             // csv, series: columns to predict; cifar: fine | coarse
  std::vector<std::string> columns;            // csv, series: input columns; none: all the others
  std::string group;                           // csv: rows with the same text here stay on one side of the split
  std::string time;                            // series: the column that orders the lines, and is no input
  std::string separator = ",";                 // csv, series: between fields
  std::string missing = "refuse";              // refuse | mean (of the training part) | previous (series)
  std::string scaling = "standard";            // standard | none: of input columns
  std::string target_scaling = "standard";     // standard | none: of float targets
  double validation_fraction = 0.0;            // csv, libsvm, series, text, folder: of data.path
  std::uint64_t split_seed = 0;                // csv, libsvm, folder: of which rows go where
  double test_fraction = 0.2;                  // the same
  std::int64_t skip_max = 0;                   // csv, series, libsvm, folder: bad lines left out at most
  std::int64_t features = 0;                   // libsvm: 0: the greatest index in the training part
  std::int64_t window = 24, horizon = 1;       // series: lines seen, lines predicted; text: bytes seen
  std::int64_t stride = 1;                     // series: lines from one window to the next; text: bytes
  std::int64_t season = 0;                     // series: lines after which it comes again, for MASE; 0: the last line
  std::int64_t samples = 1024;                 // synthetic: number of training samples
  std::string shards = "static";  // static | leased: how workers share an epoch; bsp and backup have no leases
  std::vector<std::int64_t> ignored_labels;  // as in the files: no loss, and not counted

  // folder
  std::string normalization = "given";       // given (mean, stddev) | imagenet
  std::int64_t image_size = 224;             // height and width of an input
  std::int64_t resize = 0;                   // the short side, before the centre is cut out; 0: 8/7 of image_size
  std::int64_t channels = 3;                 // 1 | 3
  std::string crop = "random";               // in training: random | center
  std::vector<double> crop_area{0.08, 1.0};  // random: least and greatest share of the image
  std::vector<double> crop_ratio{0.75, 4.0 / 3.0};  // random: least and greatest width over height
  double flip = 0.5;                                // in training: probability that left and right change places
  std::int64_t readers = 2;                         // threads that decode, in each process
  std::int64_t cache_mb = 512;                      // of decoded images, kept in each process
  friend bool operator==(const DataConfig&, const DataConfig&) = default;
};

struct ScheduleConfig {
  std::string name = "constant";  // constant | step | cosine
  double warmup_epochs = 0.0;     // linear from 0, for any of them
  double step_epochs = 1.0;       // step: every so many epochs ...
  double step_factor = 0.1;       // ... the rate is multiplied by this
  double final_fraction = 0.0;    // cosine: the rate at the end over the rate at the start
  friend bool operator==(const ScheduleConfig&, const ScheduleConfig&) = default;
};

// For the time between the weights that a gradient was computed on and those that it is applied to.
struct CompensationConfig {
  std::string name = "none";  // none | constant | adaptive
  double lambda = 0.0;        // 0: the paper's (kernels/compensation.h)
  double decay = 0.95;        // adaptive: of the mean square
  friend bool operator==(const CompensationConfig&, const CompensationConfig&) = default;
};

// local:H: how servers make an update of deltas; the rest of [optimizer] is then the workers'.
struct OuterConfig {
  std::string name = "average";  // average | nesterov | delayed_nesterov
  double rate = 0.7;             // nesterov, delayed_nesterov: no schedule moves it
  double momentum = 0.9;         // nesterov, delayed_nesterov
  std::int64_t delay = 0;        // delayed_nesterov: updates to one of the momentum; 0: cluster.workers
  double spread = 0.0;           // delayed_nesterov: share of the momentum in each of them but the last
  friend bool operator==(const OuterConfig&, const OuterConfig&) = default;
};

struct OptimizerConfig {
  std::string name = "sgd";  // sgd | momentum | nesterov | adam | adamw
  double rate = 0.01;
  double pretrain_rate = 0.0;  // dbn: while its machines are trained; 0: rate
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.0;
  double clip_value = 0.0;           // who updates: each element of the mean gradient into [-v, v]; 0 is off
  double clip_norm = 0.0;            // worker: global norm of its own mean gradient (of each leaf's in bsp); 0 is off
  std::string age_scaling = "none";  // none | inverse: an old gradient's rate is divided by its age
  CompensationConfig compensation;
  std::vector<std::string> groups;  // "fc.* rate=10 decay=0", "layer1.* frozen": the first that fits a parameter
  ScheduleConfig schedule;
  OuterConfig outer;
  friend bool operator==(const OptimizerConfig&, const OptimizerConfig&) = default;
};

struct ConsistencyConfig {
  std::string mode = "bsp";        // base/mode.h
  std::string nonfinite = "skip";  // skip | stop
  double evict_after_s = 10.0;     // a worker that lives and takes so long for a step is evicted
  friend bool operator==(const ConsistencyConfig&, const ConsistencyConfig&) = default;
};

struct ClusterConfig {
  std::int64_t servers = 1, workers = 1;
  std::int64_t min_workers = 0;    // 0: all of them
  std::int64_t shard_threads = 1;  // per server process
  std::int64_t slice_bytes = 1 << 20;
  std::string transport = "ipc";                   // ipc | tcp
  std::string wire = "float32";                    // what gradients and weights are rounded to on their way
  bool shared_memory = true;                       // between workers and servers of one host and user
  std::string bind = "127.0.0.1";                  // address to listen on; tcp and the scheduler's HTTP
  std::int64_t scheduler_port = 0, http_port = 0;  // 0: picked by the system
  double start_timeout_s = 30.0;                   // to wait for members that do not come
  double lost_after_s = 2.0;                       // no heartbeat for so long: lost
  std::int64_t restarts = 0;                       // of each worker that dies, by the launcher
  friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};

struct TrainConfig {
  std::int64_t epochs = 1;
  std::int64_t steps = 0;          // clocks per worker; 0: epochs decide
  std::int64_t batch = 64;         // samples per update in bsp, per step of a worker in other modes
  std::int64_t micro_batches = 4;  // bsp: leaves of a batch
  std::uint64_t seed = 1;
  bool record = false;        // write RUN/record/*.bin, for a replay
  std::int64_t timeline = 0;  // so many steps on RUN/timeline/*.jsonl; 0: none
  friend bool operator==(const TrainConfig&, const TrainConfig&) = default;
};

struct WorkerConfig {
  std::string device = "auto";        // auto | cpu | cuda | cuda:N
  std::int64_t threads = 1;           // compute threads of each worker
  std::string precision = "float32";  // of what convolutions and dense layers multiply: float32 | bfloat16 | tf32
  std::string plan = "rule";        // which algorithms compute convolutions: rule | measure | a file that was measured
  bool cuda_graphs = true;          // on a GPU: steps of a fixed shape are launched as one graph
  std::int64_t micro_batch = 0;     // but in bsp: samples computed at a time; 0: all of a push
  std::string stragglers = "none";  // how long steps take, beside the usual (base/stragglers.h)
  friend bool operator==(const WorkerConfig&, const WorkerConfig&) = default;
};

struct ServerConfig {
  std::string device = "cpu";  // cpu | cuda | cuda:N
  friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};

struct EvaluationConfig {
  bool enabled = true;
  std::int64_t every_epochs = 1;  // and always at the end
  std::int64_t per_epoch = 1;     // of those epochs
  std::int64_t batch = 500;
  std::string part = "test";    // test | validation
  double holdout = 0.0;         // share of the training samples set aside: they decide, and the test set is read once
  std::int64_t patience = 0;    // evaluations without improvement after which training ends; 0: it does not
  double min_delta = 0.0;       // what counts as an improvement
  std::string metric = "loss";  // of which figure: loss | accuracy
  double average = 0.0;      // decay of a moving average of the weights, which is what is evaluated; 0: there is none
  double timeout_s = 600.0;  // of the last one, at least: 20 times the longest before it, if that is longer
  friend bool operator==(const EvaluationConfig&, const EvaluationConfig&) = default;
};

// What rubato-sim assumes of workers and network, in virtual time; docs/simulator.md.
struct SimulationConfig {
  double step_ms = 10.0;                                   // a step of train.batch samples on a worker without a burden
  double step_fixed = 0.1;                                 // the share of it that fewer samples do not make shorter
  double network_us = 50.0;                                // from one member to another, at least ...
  double network_spread_us = 0.0;                          // ... and an exponential of this mean beyond
  double bandwidth_mb_s = 0.0;                             // of each direction between two members; 0: unlimited
  double loss = 0.0, duplication = 0.0, reordering = 0.0;  // probabilities, of a frame
  double evaluation_ms = 10.0;
  std::vector<std::string> faults;   // base/fault.h
  std::vector<std::string> changes;  // base/rule_change.h
  friend bool operator==(const SimulationConfig&, const SimulationConfig&) = default;
};

struct DebugConfig {
  bool trace = false;              // write RUN/trace/*.jsonl for the protocol checker
  std::int64_t nonfinite_at = -1;  // fault injection for tests: worker 0 spoils the gradient of this clock
  double slow_worker_ms = 0.0;     // worker 0 sleeps so long in every step
  friend bool operator==(const DebugConfig&, const DebugConfig&) = default;
};

struct Job {
  ModelConfig model;
  DataConfig data;
  OptimizerConfig optimizer;
  ConsistencyConfig consistency;
  ClusterConfig cluster;
  TrainConfig train;
  ServerConfig server;
  WorkerConfig worker;
  EvaluationConfig evaluation;
  SimulationConfig simulation;
  DebugConfig debug;
  friend bool operator==(const Job&, const Job&) = default;
};

// "consistency.mode" -> "ssp:3"; later ones win. Values are TOML values; a bare word is a string. `origin` is
// what the person typed it behind, and what a message blames.
struct Override {
  std::string key, value, origin = "--set";
  friend bool operator==(const Override&, const Override&) = default;
};
using Overrides = std::vector<Override>;

// Splits "key=value". Errors: kUsage.
[[nodiscard]] Result<Override> parse_override(const std::string& text);

// Errors: kUsage, naming file, line, key and what is allowed; or that the file is not there.
//
// load_job makes paths absolute: those in the file are relative to the file, those in an override to the current
// directory; and it fills in model.pretrained_sha256. parse_job leaves them as they are.
[[nodiscard]] Result<Job> load_job(const std::string& path, const Overrides& overrides = {});
[[nodiscard]] Result<Job> parse_job(const std::string& text, const std::string& origin,
                                    const Overrides& overrides = {});

[[nodiscard]] std::string write_job(const Job& job);
[[nodiscard]] std::string job_hash(const Job& job);

// Workers take leases of an epoch's samples, instead of equal shares (docs/protocol.md, rules 11 and 12).
[[nodiscard]] inline bool is_leased(const Job& job) { return job.data.shards == "leased"; }
// The largest lease, in batches.
inline constexpr std::int64_t kLeaseBatchesMax = 4;

// All keys with type, range, default and meaning, by table: for --help.
[[nodiscard]] std::string describe_job_keys();

// optimizer.outer.delay, as it is meant.
[[nodiscard]] std::int64_t outer_delay(const Job& job);

// What a person should know of a valid job before it starts, a line each; often none.
[[nodiscard]] std::vector<std::string> job_notes(const Job& job);

}  // namespace rubato
