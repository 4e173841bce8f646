// The job file: every way to be wrong gets one line that says where, what, and what is allowed.
#include "base/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/job_schema.h"
#include "tests/base/temp_directory.h"

namespace rubato {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Lines 1 to 4 of every text below, so that what follows starts at line 5.
const std::string kQuadratic =
    "[model]\n"
    "name = \"quadratic\"\n"
    "[data]\n"
    "kind = \"synthetic\"\n";

std::string error_of(const Result<Job>& job) {
  if (job.ok()) return "(no error)";
  EXPECT_EQ(job.error().cause, Cause::kUsage);
  EXPECT_EQ(std::ranges::count(job.error().message, '\n'), 0);
  return job.error().message;
}

Job valid_job() {
  auto job = parse_job(kQuadratic, "job.toml");
  EXPECT_TRUE(job.ok()) << job.error().message;
  return *job;
}

struct Refusal {
  const char* name;
  std::string text;
  const char* message;
};

class JobRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(JobRefusal, SaysWhereWhatAndWhatIsAllowed) {
  EXPECT_EQ(error_of(parse_job(kQuadratic + GetParam().text, "job.toml")), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, JobRefusal,
    testing::ValuesIn(std::vector<Refusal>{
        {"unknown_key", "[train]\nepoch = 3",
         "job.toml:6: unknown key \"train.epoch\"; did you mean \"train.epochs\"?"},
        {"swapped_letters", "[train]\nbathc = 3",
         "job.toml:6: unknown key \"train.bathc\"; did you mean \"train.batch\"?"},
        {"wrong_table", "[train]\nrate = 3",
         "job.toml:6: unknown key \"train.rate\"; did you mean \"optimizer.rate\"?"},
        {"wrong_table_and_letter", "[train]\nmomentun = 1",
         "job.toml:6: unknown key \"train.momentun\"; did you mean \"optimizer.momentum\"?"},
        {"nothing_near", "[train]\nzzzzzzzz = 3", "job.toml:6: unknown key \"train.zzzzzzzz\""},
        {"unknown_table", "[trian]\nepochs = 3", "job.toml:5: unknown table \"trian\"; did you mean \"train\"?"},
        {"unknown_subtable", "[optimizer.schedul]\n",
         "job.toml:5: unknown table \"optimizer.schedul\"; did you mean \"optimizer.schedule\"?"},
        {"first_mistake_first", "[train]\nzzzzzzzz = 1\n[cluster]\nyyyyyyyy = 1",
         "job.toml:6: unknown key \"train.zzzzzzzz\""},
        {"table_is_value", "train = 3", "job.toml:5: unknown key \"data.train\"; did you mean \"data.train_inputs\"?"},
        {"value_is_table", "[train.epochs]\n", "job.toml:5: train.epochs: expected an integer, found a table"},
        {"list_of_tables", "[[train]]\n", "job.toml:5: train: expected a table, found a list"},
        {"string_for_integer", "[train]\nepochs = \"five\"",
         "job.toml:6: train.epochs = \"five\": expected an integer, found a string"},
        {"float_for_integer", "[train]\nepochs = 5.5",
         "job.toml:6: train.epochs = 5.5: expected an integer, found a floating-point number"},
        {"string_for_number", "[optimizer]\nrate = \"0.1\"",
         "job.toml:6: optimizer.rate = \"0.1\": expected a number, found a string"},
        {"average_for_nobody", "[evaluation]\nenabled = false\naverage = 0.99",
         "job.toml:7: evaluation.average = 0.99 averages weights for evaluations, and none are made: set "
         "evaluation.enabled = true, or average to 0"},
        {"average_that_never_moves", "[evaluation]\naverage = 1.0",
         "job.toml:6: evaluation.average = 1.0: must be at least 0 and below 1"},
        {"integer_for_bool", "[evaluation]\nenabled = 1",
         "job.toml:6: evaluation.enabled = 1: expected true or false, found an integer"},
        {"bool_for_string", "[worker]\ndevice = true",
         "job.toml:6: worker.device = true: expected a string, found true or false"},
        {"date_for_number", "[optimizer]\nrate = 2020-01-01",
         "job.toml:6: optimizer.rate = 2020-01-01: expected a number, found a date or time"},
        {"dotted_in_a_table", "model.hidden = 5", "job.toml:5: unknown table \"data.model\"; did you mean \"model\"?"},
        {"negative_rate", "[optimizer]\nrate = -1", "job.toml:6: optimizer.rate = -1: must be 1e-30 to 1e+30"},
        {"zero_rate", "[optimizer]\nrate = 0", "job.toml:6: optimizer.rate = 0: must be 1e-30 to 1e+30"},
        {"endless_patience", "[cluster]\nlost_after_s = 1e10",
         "job.toml:6: cluster.lost_after_s = 10000000000.0: must be 0.1 to 1,000,000"},
        {"no_patience", "[cluster]\nlost_after_s = 0.01",
         "job.toml:6: cluster.lost_after_s = 0.01: must be 0.1 to 1,000,000"},
        {"clip_to_nothing", "[optimizer]\nclip_value = 1e-300",
         "job.toml:6: optimizer.clip_value = 1e-300: must be 0, which is off, or at least 1e-30"},
        {"infinite_rate", "[optimizer]\nrate = inf", "job.toml:6: optimizer.rate = inf: must be finite, found inf"},
        {"nan_mean", "mean = nan", "job.toml:5: data.mean = nan: must be finite, found nan"},
        {"momentum_one", "[optimizer]\nmomentum = 1.0",
         "job.toml:6: optimizer.momentum = 1.0: must be at least 0 and below 1"},
        {"port", "[cluster]\nhttp_port = 65536", "job.toml:6: cluster.http_port = 65536: must be 0 to 65,535"},
        {"negative_seed", "[train]\nseed = -1", "job.toml:6: train.seed = -1: must be at least 0"},
        {"no_workers", "[cluster]\nworkers = 0", "job.toml:6: cluster.workers = 0: must be 1 to 4,096"},
        {"enumeration", "[optimizer]\nname = \"adm\"",
         "job.toml:6: optimizer.name = \"adm\": must be one of \"sgd\", \"momentum\", \"nesterov\", \"adam\", "
         "\"adamw\"; did you mean \"adam\"?"},
        {"age_scaling", "[optimizer]\nage_scaling = \"invers\"",
         "job.toml:6: optimizer.age_scaling = \"invers\": must be one of \"none\", \"inverse\"; did you mean "
         "\"inverse\"?"},
        {"compensation_decay", "[optimizer.compensation]\ndecay = 1",
         "job.toml:6: optimizer.compensation.decay = 1: must be at least 0 and below 1"},
        {"compensation_lambda", "[optimizer.compensation]\nlambda = -1",
         "job.toml:6: optimizer.compensation.lambda = -1: must be 0 to 1e+30"},
        {"mode", "[consistency]\nmode = \"sync\"",
         "job.toml:6: consistency.mode = \"sync\": must be bsp, backup:B, softsync:N, ssp:S, dssp:LO..HI, asp, local:H "
         "or local:H+MODE, "
         "where S is the staleness bound, as in ssp:3"},
        {"mode_without_bound", "[consistency]\nmode = \"ssp\"",
         "job.toml:6: consistency.mode = \"ssp\": ssp needs its bound, as in ssp:3"},
        {"device", "[worker]\ndevice = \"gpu\"",
         "job.toml:6: worker.device = \"gpu\": must be auto, cpu, cuda or cuda:N"},
        {"too_many_workers", "[cluster]\nworkers = 8",
         "job.toml:6: cluster.workers = 8 is more than train.micro_batches = 4: in bsp each worker needs a leaf; set "
         "train.micro_batches to 8 or more, or use fewer workers"},
        {"small_batch", "[train]\nbatch = 2",
         "job.toml:6: train.batch = 2 is less than train.micro_batches = 4: in bsp a batch is cut into so many leaves; "
         "raise the one or lower the other"},
        {"min_workers", "[cluster]\nmin_workers = 2",
         "job.toml:6: cluster.min_workers = 2 is more than cluster.workers = 1"},
        {"odd_slice", "[cluster]\nslice_bytes = 1023",
         "job.toml:6: cluster.slice_bytes = 1023 must be a multiple of 4, the bytes of a weight"},
        {"same_ports", "[cluster]\nscheduler_port = 80\nhttp_port = 80",
         "job.toml:7: cluster.http_port = 80 is cluster.scheduler_port too: two things cannot listen on one port"},
        {"nothing_to_do", "[train]\nepochs = 0",
         "job.toml:6: train.epochs and train.steps are both 0: nothing to do; set one of them"},
        {"stragglers", "[worker]\nstragglers = \"pareto:0\"",
         "job.toml:6: worker.stragglers = \"pareto:0\": pareto needs an exponent above 0, as in pareto:2.5"},
        {"fault", "[simulation]\nfaults = [\"kill worker-0 at 3\"]",
         "job.toml:6: simulation.faults: \"kill worker-0 at 3\" must be like \"kill worker-1 at 3s\": times are like "
         "3s, 250ms, 80us"},
        {"fault_of_nobody", "[simulation]\nfaults = [\"drain at 1s\", \"cut worker-0 servr-0 at 3s\"]",
         "job.toml:6: simulation.faults has \"cut worker-0 servr-0 at 3s\": there is no process servr-0 in a job of 1 "
         "workers and 1 servers; did you mean \"server-0\"?"},
        {"a_server_that_returns", "[simulation]\nfaults = [\"return server-0 at 1s\"]",
         "job.toml:6: simulation.faults has \"return server-0 at 1s\": only workers come back"},
        {"a_worker_that_crashes", "[simulation]\nfaults = [\"crash worker-0 at 1s for 1s\"]",
         "job.toml:6: simulation.faults has \"crash worker-0 at 1s for 1s\": only servers crash; others are killed, "
         "and "
         "return"},
        {"change", "[simulation]\nchanges = [\"set mode=asp\"]",
         "job.toml:6: simulation.changes: \"set mode=asp\" must be like \"set mode=ssp:8 rate=0.01 at 3s\": times are "
         "like "
         "3s, 250ms, 80us"},
        {"change_between_families", "[simulation]\nchanges = [\"set rate=1 at 1s\", \"set mode=ssp:1 at 2s\"]",
         "job.toml:6: simulation.changes cannot be made: a job in bsp (one update a clock, of batches that all workers "
         "share) cannot go on in ssp:1 (an update of each push): ssp, dssp and asp change into each other, and the "
         "rate "
         "changes in every mode; start a new job with mode ssp:1 instead"},
        {"numbers_for_texts", "[simulation]\nfaults = [3]",
         "job.toml:6: simulation.faults: expected a list of strings, found an integer in the list"},
        {"number_for_texts", "[simulation]\nfaults = 3",
         "job.toml:6: simulation.faults = 3: expected a list of strings, found an integer"},
        {"certain_loss", "[simulation]\nloss = 1", "job.toml:6: simulation.loss = 1: must be at least 0 and below 1"},
        {"empty_bind", "[cluster]\nbind = \"\"",
         "job.toml:6: cluster.bind = \"\": must be an IPv4 address of this host, as in 10.0.0.1"},
        {"bind_to_a_name", "[cluster]\nbind = \"nowhere.invalid\"",
         "job.toml:6: cluster.bind = \"nowhere.invalid\": must be an IPv4 address of this host, as in 10.0.0.1"},
        {"bind_to_a_wildcard", "[cluster]\nbind = \"0.0.0.0\"",
         "job.toml:6: cluster.bind = \"0.0.0.0\": is a wildcard: give the address by which the others reach this "
         "host, as in 10.0.0.1"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Job, SyntaxErrorsNameLineAndColumn) {
  EXPECT_THAT(error_of(parse_job("[train]\nepochs = \n", "job.toml")), StartsWith("job.toml:2:10: "));
  EXPECT_THAT(error_of(parse_job("[train]\nepochs = 1\nepochs = 2\n", "job.toml")), StartsWith("job.toml:3:10: "));
  EXPECT_THAT(error_of(parse_job("[train]\nseed = 99999999999999999999\n", "job.toml")), StartsWith("job.toml:2:28: "));
}

TEST(Job, WhoComputesWhatIsSaidBeforehandOrLeased) {
  for (const char* mode : {"bsp", "backup:0"})
    EXPECT_EQ(error_of(parse_job(
                  kQuadratic + "shards = \"leased\"\n[cluster]\nworkers = 4\n[consistency]\nmode = \"" + mode + "\"\n",
                  "job.toml")),
              "job.toml:5: data.shards = \"leased\" does not go with consistency.mode = \"" + std::string(mode) +
                  "\", which says beforehand who computes what: use \"static\", or asp, ssp, dssp or softsync");
  for (const char* mode : {"asp", "ssp:2", "dssp:1..4", "softsync:2"})
    EXPECT_TRUE(
        parse_job(kQuadratic + "shards = \"leased\"\n[cluster]\nworkers = 4\n[consistency]\nmode = \"" + mode + "\"\n",
                  "job.toml")
            .ok());
}

TEST(Job, NetworksNeedTheirSizesAndData) {
  const auto with = [](const std::string& text) { return error_of(parse_job(text, "job.toml")); };
  EXPECT_EQ(with("[model]\nname = \"mlp\""),
            "job.toml: model.hidden is empty: give widths, as in [128, 64], or use model.name = \"logistic\"");
  EXPECT_EQ(with("[model]\nname = \"cnn\""),
            "job.toml: model.channels is empty: give one number for each convolution, as in [32, 64]");
  EXPECT_EQ(with("[model]\nname = \"quadratic\""),
            "job.toml: data.kind = \"idx\" does not go with model.name = \"quadratic\": quadratic and synthetic go "
            "together");
  EXPECT_EQ(with("[model]\nhidden = [8, 0]"),
            "job.toml:2: model.hidden: each must be 1 to 1,048,576, and number 2 of 2 is 0");
  EXPECT_EQ(with("[model]\nhidden = [8, 0.5]"),
            "job.toml:2: model.hidden: expected a list of integers, found a floating-point number in the list");
  EXPECT_EQ(with("[model]\nname = \"lenet5\""), "job.toml: data.train_inputs is missing: data.kind = \"idx\" needs it");
  const std::string trains = "[model]\nname = \"lenet5\"\n[data]\ntrain_inputs = \"a\"\ntrain_labels = \"b\"\n";
  EXPECT_EQ(with(trains), "job.toml: data.test_inputs is missing: give it, or set evaluation.enabled = false");
  EXPECT_EQ(with(trains + "[evaluation]\nenabled = false"), "(no error)");
}

TEST(Job, OverridesWinAndTheLastOneWinsMost) {
  const auto job = parse_job(kQuadratic + "[train]\nsteps = 9\n", "job.toml",
                             {{"train.steps", "5"},
                              {"train.steps", "6"},
                              {"consistency.mode", "ssp:3"},
                              {"data.train_inputs", "10"},
                              {"worker.device", "\"cuda:1\""},
                              {"model.hidden", "[3, 4]"},
                              {"simulation.faults", "[\"drain at 1s\", \"drain at 2s\"]"},
                              {"optimizer.rate", "1"},
                              {"evaluation.enabled", "false"}});
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ(job->train.steps, 6);
  EXPECT_EQ(job->consistency.mode, "ssp:3");
  EXPECT_EQ(job->data.train_inputs, "10");
  EXPECT_EQ(job->worker.device, "cuda:1");
  EXPECT_EQ(job->model.hidden, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(job->simulation.faults, (std::vector<std::string>{"drain at 1s", "drain at 2s"}));
  EXPECT_EQ(job->optimizer.rate, 1.0);
  EXPECT_FALSE(job->evaluation.enabled);
}

TEST(Job, OneTextIsAListOfOne) {
  const auto job = parse_job(kQuadratic, "job.toml", {{"simulation.faults", "drain at 1s"}});
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ(job->simulation.faults, std::vector<std::string>{"drain at 1s"});
  const std::string columns = "[model]\nloss = \"mse\"\nname = \"logistic\"\n[data]\nkind = \"csv\"\npath = \"t\"\n";
  EXPECT_EQ(parse_job(columns + "target = \"y\"\n", "job.toml")->data.target, std::vector<std::string>{"y"});
}

// Where each of a list has a syntax of its own, a text alone may be what was left of one.
TEST(Job, WhereAListIsMeantATextIsNone) {
  EXPECT_EQ(error_of(parse_job("[model]\nname = \"layers\"\nnetwork = \"conv 3\"\n", "job.toml")),
            "job.toml:3: model.network = \"conv 3\": expected a list of strings, found a string: write [\"conv 3\"]");
  EXPECT_EQ(error_of(parse_job("[optimizer]\ngroups = \"fc.* frozen\"\n", "job.toml")),
            "job.toml:2: optimizer.groups = \"fc.* frozen\": expected a list of strings, found a string: write "
            "[\"fc.* frozen\"]");
  EXPECT_EQ(error_of(parse_job(kQuadratic, "job.toml", {{"simulation.faults", "\"drain at 1s\""}})),
            "--set: simulation.faults = \"drain at 1s\": expected a list of strings, found a string: write "
            "[\"drain at 1s\"]");
  EXPECT_EQ(error_of(parse_job("[model]\nskip = 3\n", "job.toml")),
            "job.toml:2: model.skip = 3: expected a string or a list of strings, found an integer");
}

// Half a pair of quotes is no part of a word.
TEST(Job, QuotesThatAreNotClosedAreNoWord) {
  const auto with = [](const std::string& key, const std::string& value) {
    return error_of(parse_job(kQuadratic, "job.toml", {{key, value}}));
  };
  for (const char* value : {"\"unclosed", "unclosed\"", "'unclosed", "\"a\" b", "\"\\d\""}) {
    EXPECT_THAT(with("data.train_inputs", value), AllOf(StartsWith("--set: data.train_inputs=" + std::string(value) +
                                                                   ": expected a value as in a job file"),
                                                        HasSubstr("close them, or leave them out")));
  }
  EXPECT_THAT(with("model.skip", "[\"fc.*"), HasSubstr("close them, or leave them out"));
  for (const char* value : {"unclosed", "it's", "a \"b\" c", "[ab].csv"})
    EXPECT_EQ(parse_job(kQuadratic, "job.toml", {{"data.train_inputs", value}})->data.train_inputs, value);
}

TEST(Job, WrongOverridesSayThatTheyAreOverrides) {
  const auto with = [](const std::string& key, const std::string& value) {
    return error_of(parse_job(kQuadratic, "job.toml", {{key, value}}));
  };
  EXPECT_EQ(with("train.stesp", "5"), "--set: unknown key \"train.stesp\"; did you mean \"train.steps\"?");
  EXPECT_EQ(with("epochs", "5"), "--set: unknown key \"epochs\"; did you mean \"train.epochs\"?");
  EXPECT_EQ(with("train", "5"), "--set train=5: this is a table; set one of its keys, as in train.epochs=...");
  EXPECT_EQ(with("train.steps", "many"), "--set: train.steps = \"many\": expected an integer, found a string");
  EXPECT_EQ(with("train.steps", ""), "--set: train.steps = \"\": expected an integer, found a string");
  EXPECT_EQ(with("train.steps", "-5"), "--set: train.steps = -5: must be 0 to 1,000,000,000,000");
  EXPECT_EQ(with("train.seed", "99999999999999999999"),
            "--set: train.seed = 99999999999999999999: too large: an integer is at most 9,223,372,036,854,775,807");
  EXPECT_EQ(
      with("optimizer.rate", "1e400"),
      "--set: optimizer.rate = 1e400: expected a number of at most 1.8e308 and, unless 0, at least 2.2e-308 in size");
  EXPECT_THAT(with("consistency.mode", "BPS"), HasSubstr("did you mean \"bsp\"?"));
  EXPECT_THAT(with("consistency.mode", "local:4+SSP:2"), HasSubstr("did you mean \"ssp\"?"));
  EXPECT_THAT(with("x", "1"), HasSubstr("unknown key \"x\"; the tables are cluster, consistency, data, "));
  // A line break cannot smuggle in a second key.
  EXPECT_THAT(with("train.steps", "5\nother = 6"), HasSubstr("expected an integer, found a string"));
  EXPECT_EQ(with("cluster.workers", "5"),
            "--set: cluster.workers = 5 is more than train.micro_batches = 4: in bsp each worker needs a leaf; set "
            "train.micro_batches to 5 or more, or use fewer workers");
}

TEST(Job, WrongOverridesNameTheOptionThatWasTyped) {
  EXPECT_EQ(error_of(parse_job(kQuadratic, "job.toml", {{"consistency.mode", "ssp", "--mode"}})),
            "--mode: consistency.mode = \"ssp\": ssp needs its bound, as in ssp:3");
  EXPECT_THAT(error_of(parse_job(kQuadratic, "job.toml", {{"cluster.workers", "8", "--workers"}})),
              StartsWith("--workers: cluster.workers = 8 is more than train.micro_batches = 4"));
}

TEST(Job, OverridesAreSplitAtTheFirstEqualsSign) {
  EXPECT_EQ(*parse_override("a.b=c=d"), (Override{"a.b", "c=d"}));
  EXPECT_EQ(*parse_override(" a.b = 5 "), (Override{"a.b", "5"}));
  EXPECT_EQ(*parse_override("a="), (Override{"a", ""}));
  for (const char* text : {"", "=", "=5", "train.steps"}) {
    EXPECT_EQ(parse_override(text).error().message,
              std::string("--set ") + text + ": expected key=value, as in --set train.steps=5");
  }
}

TEST(Job, WrittenJobsReadBackEqual) {
  Job job = valid_job();
  EXPECT_EQ(*parse_job(write_job(job), "written"), job);
  // Every key away from its default, by type, with the texts and numbers that are hardest to write.
  for (JobKey& key : job_keys(job)) {
    if (auto* const* list = std::get_if<std::vector<std::int64_t>*>(&key.slot)) **list = {1, 2, 3};
    if (auto* const* number = std::get_if<double*>(&key.slot)) **number = 0.1 + 0.2;
    if (auto* const* flag = std::get_if<bool*>(&key.slot)) **flag = !**flag;
    if (key.is_path) **std::get_if<std::string*>(&key.slot) = "a \"b\"\\c\td\n\x01\x7f ü";
  }
  job.model.pretrained.clear();   // a quadratic has none
  job.evaluation.enabled = true;  // with a holdout
  job.data.validation_fraction = 0.0;
  job.data.ignored_labels.clear();
  job.simulation.faults = {"drain at 1s", "kill worker-0 at 0.5ms"};
  job.optimizer.rate = 1e-29;
  job.optimizer.weight_decay = 1e22;
  job.train.seed = 0x7FFFFFFFFFFFFFFF;
  const auto again = parse_job(write_job(job), "written");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(*again, job);
  EXPECT_EQ(write_job(*again), write_job(job));
}

TEST(Job, WrittenJobsNameEveryKeyAndSoDoesTheHelp) {
  Job job = valid_job();
  const std::string text = write_job(job), help = describe_job_keys();
  for (const JobKey& key : job_keys(job)) {
    EXPECT_THAT(text, HasSubstr("[" + key.table() + "]\n"));
    EXPECT_THAT(text, HasSubstr("\n" + key.name() + " = "));
    EXPECT_THAT(help, HasSubstr("  " + key.name() + " "));
    EXPECT_FALSE(key.help.empty()) << key.path;
  }
}

// docs/job_file.md has the help as its last block, so it can name no key too few or too many.
TEST(Job, ThePageOnJobFilesHasTheKeysOfTheProgram) {
  std::ifstream file(RUBATO_JOB_DOC);
  const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string fence = "```\n";
  const std::size_t end = page.rfind(fence);
  ASSERT_NE(end, std::string::npos) << RUBATO_JOB_DOC;
  const std::size_t begin = page.rfind(fence, end - 1) + fence.size();
  EXPECT_EQ(page.substr(begin, end - begin), describe_job_keys()) << "paste the output of rubato-scheduler --keys";
}

TEST(Job, DefaultsAreInTheirOwnRanges) {
  Job job;
  for (const JobKey& key : job_keys(job)) {
    EXPECT_TRUE(check_allowed(key.slot, key.allowed).ok()) << key.path;
  }
}

TEST(Job, TheHashCoversWhatCanChangeAResult) {
  const Job job = valid_job();
  const auto hash_with = [&](auto change) {
    Job other = job;
    change(other);
    return job_hash(other);
  };
  EXPECT_EQ(job_hash(job).size(), 64u);
  EXPECT_NE(hash_with([](Job& j) { j.optimizer.rate *= 2; }), job_hash(job));
  EXPECT_NE(hash_with([](Job& j) { j.worker.threads = 2; }), job_hash(job));
  EXPECT_NE(hash_with([](Job& j) { j.consistency.mode = "asp"; }), job_hash(job));
  EXPECT_EQ(hash_with([](Job& j) { j.cluster.bind = "10.0.0.1"; }), job_hash(job));
  EXPECT_EQ(hash_with([](Job& j) { j.cluster.http_port = 80; }), job_hash(job));
  EXPECT_EQ(hash_with([](Job& j) { j.cluster.lost_after_s = 9; }), job_hash(job));
  EXPECT_EQ(hash_with([](Job& j) { j.evaluation.timeout_s = 9; }), job_hash(job));
  EXPECT_EQ(hash_with([](Job& j) { j.debug.trace = true; }), job_hash(job));
  EXPECT_EQ(hash_with([](Job& j) { j.data.train_inputs = "/elsewhere"; }), job_hash(job));
}

TEST(Job, NotesTellWhatAValidJobCosts) {
  Job job = valid_job();
  EXPECT_TRUE(job_notes(job).empty());
  job.optimizer.clip_norm = 1;
  EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("early pushing is off")));
}

TEST(Job, NotesNameKeysThatDoNothing) {
  Job job = valid_job();
  job.model.name = "cnn";
  job.model.channels = {4};
  job.model.activation = "tanh";
  job.model.hidden = {77};
  job.optimizer.name = "sgd";
  job.optimizer.momentum = 0.5;
  EXPECT_THAT(job_notes(job),
              testing::ElementsAre("model.hidden has no effect on cnn", "model.activation has no effect on cnn",
                                   "optimizer.momentum has no effect on sgd"));
  job.model.name = "lenet5";
  job.optimizer.name = "nesterov";
  EXPECT_THAT(job_notes(job),
              testing::ElementsAre("model.hidden has no effect on lenet5", "model.channels has no effect on lenet5"));
}

TEST(Job, NotesTellWhatDelayCompensationKeepsAndWhereItDoesNothing) {
  Job job = valid_job();
  job.cluster.workers = 6;
  job.optimizer.compensation.name = "adaptive";
  job.optimizer.age_scaling = "inverse";
  for (const char* mode : {"asp", "ssp:0", "softsync:2"}) {
    job.consistency.mode = mode;
    EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("about 8 versions of every slice"))) << mode;
  }
  for (const char* mode : {"bsp", "backup:1"}) {
    job.consistency.mode = mode;
    EXPECT_THAT(job_notes(job),
                testing::ElementsAre(
                    HasSubstr("optimizer.age_scaling = \"inverse\" changes nothing in " + job.consistency.mode),
                    HasSubstr("optimizer.compensation.name = \"adaptive\" changes nothing")));
  }
}

TEST(Job, NotesTellOfStragglersThatTheJobDoesNotHave) {
  Job job = valid_job();
  job.cluster.workers = 4;
  for (const char* named : {"none", "persistent:4x", "persistent:4x@4", "lognormal:1", "trace:a.csv"}) {
    job.worker.stragglers = named;
    EXPECT_THAT(job_notes(job), testing::IsEmpty()) << named;
  }
  job.worker.stragglers = "lognormal:1 + persistent:4x@9";
  EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("makes 9 workers slower, and the job has 4")));
}

TEST(Job, OuterRulesGoWithLocalSteps) {
  Job job = valid_job();
  job.consistency.mode = "asp";
  job.optimizer.outer.name = "nesterov";
  EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("optimizer.outer has no part in asp")));
  job.consistency.mode = "local:4";
  EXPECT_TRUE(job_notes(job).empty());
  job.consistency.mode = "local:4+asp";
  EXPECT_TRUE(job_notes(job).empty());
  job.optimizer.outer.name = "average";
  EXPECT_TRUE(job_notes(job).empty()) << "with one worker";
  job.cluster.workers = 3;
  EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("the whole delta of each of 3 workers")));
}

TEST(Job, NotesSayWhatNarrowNumbersChange) {
  Job job = valid_job();
  job.cluster.transport = "tcp";
  job.cluster.workers = 2;
  job.consistency.mode = "asp";
  for (const char* wire : {"float32", "bfloat16"}) {
    job.cluster.wire = wire;
    EXPECT_TRUE(job_notes(job).empty()) << wire;
  }
  job.consistency.mode = "bsp";
  EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("the same bits for the same number of workers")));
  job.cluster.workers = 1;
  job.cluster.transport = "ipc";
  EXPECT_THAT(job_notes(job), testing::ElementsAre(HasSubstr("this job stays on one host")));
}

TEST(Job, NotesSayWhereAPrecisionRoundsNextToNothing) {
  Job job = valid_job();
  job.worker.precision = "bfloat16";
  for (const char* name : {"mlp", "cnn", "gpt"}) {
    job.model.name = name;
    EXPECT_THAT(job_notes(job), testing::Not(testing::Contains(HasSubstr("worker.precision")))) << name;
  }
  for (const char* name : {"lstm", "gru", "logistic"}) {
    job.model.name = name;
    EXPECT_THAT(job_notes(job), testing::Contains(HasSubstr("this " + job.model.name + " has none but the last")));
    job.worker.precision = "float32";
    EXPECT_THAT(job_notes(job), testing::Not(testing::Contains(HasSubstr("worker.precision")))) << name;
    job.worker.precision = "bfloat16";
  }
  job.model.name = "layers";
  job.model.network = {"lstm 8 last", "dense 10"};
  EXPECT_THAT(job_notes(job), testing::Contains(HasSubstr("model.network has none but the last")));
  job.model.network = {"dense 9 per_position relu", "lstm 8 last", "dense 10"};
  EXPECT_THAT(job_notes(job), testing::Not(testing::Contains(HasSubstr("worker.precision"))));
}

TEST(Job, OuterRulesAreChecked) {
  const auto with = [](const std::string& mode, const std::string& delay, const std::string& spread) {
    return parse_job("[model]\nname = \"quadratic\"\n[data]\nkind = \"synthetic\"\n", "job.toml",
                     {{"consistency.mode", mode},
                      {"cluster.workers", "4"},
                      {"optimizer.outer.name", "delayed_nesterov"},
                      {"optimizer.outer.delay", delay},
                      {"optimizer.outer.spread", spread}});
  };
  EXPECT_TRUE(with("local:4+asp", "0", "0.25").ok());
  EXPECT_THAT(error_of(with("local:4+asp", "0", "0.26")),
              HasSubstr("0.26 is more than 1 / 4, one over optimizer.outer.delay (cluster.workers, as it is 0)"));
  EXPECT_THAT(error_of(with("local:4", "5", "0.25")), HasSubstr("is more than 1 / 5, one over optimizer.outer.delay"));
  EXPECT_TRUE(with("asp", "5", "0.25").ok()) << "it has no part there";
  EXPECT_THAT(error_of(parse_job("[model]\nname = \"quadratic\"\n[data]\nkind = \"synthetic\"\n", "job.toml",
                                 {{"consistency.mode", "local:1000000"}, {"train.batch", "4096"}})),
              HasSubstr("more than 2^31 samples a clock"));
}

TEST(JobFile, MissingFilesAndDirectoriesSayWhatToDo) {
  const test::TempDirectory directory;
  EXPECT_EQ(error_of(load_job("/nowhere/job.toml")),
            "job file /nowhere/job.toml: No such file or directory; name a .toml file (jobs/ holds examples)");
  EXPECT_THAT(error_of(load_job(directory.path().string())), HasSubstr("is a directory"));
}

TEST(JobFile, WhatHasNoEndOrIsTooLongIsNotRead) {
  const test::TempDirectory directory;
  const std::string fifo = directory.file("fifo.toml");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {std::string("/dev/zero"), fifo}) {
    EXPECT_THAT(error_of(load_job(path)), HasSubstr(path + ": is no regular file"));
  }
  const std::string path = directory.file("job.toml");
  std::ofstream(path) << "[data]\nkind = \"synthetic\"\n";
  std::filesystem::resize_file(path, (1 << 20) + 1);
  EXPECT_THAT(error_of(load_job(path)), HasSubstr("has 1048577 bytes, and no job file more than 1048576"));
}

TEST(JobFile, DataPathsAreRelativeToTheFileAndTypedOnesToHere) {
  const test::TempDirectory directory;
  const std::string path = directory.file("job.toml");
  std::ofstream(path) << "[model]\nname = \"lenet5\"\n[data]\ntrain_inputs = \"../x\"\ntrain_labels = \"/y\"\n"
                         "test_inputs = \"z\"\ntest_labels = \"w\"\n";
  const auto job = load_job(path, {{"data.test_labels", "here"}});
  ASSERT_TRUE(job.ok()) << job.error().message;
  EXPECT_EQ(job->data.train_inputs, directory.path().parent_path() / "x");
  EXPECT_EQ(job->data.train_labels, "/y");
  EXPECT_EQ(job->data.test_inputs, directory.path() / "z");
  EXPECT_EQ(job->data.test_labels, std::filesystem::current_path() / "here");
}

TEST(JobFile, ATraceOfStragglersIsAPathToo) {
  const test::TempDirectory directory;
  const std::string path = directory.file("job.toml");
  std::ofstream(path) << kQuadratic << "[worker]\nstragglers = \"trace:steps.csv\"\n";
  EXPECT_EQ(load_job(path)->worker.stragglers, "trace:" + directory.file("steps.csv"));
  EXPECT_EQ(load_job(path, {{"worker.stragglers", "trace:here.csv"}})->worker.stragglers,
            "trace:" + (std::filesystem::current_path() / "here.csv").string());
  EXPECT_EQ(load_job(path, {{"worker.stragglers", "persistent:4x"}})->worker.stragglers, "persistent:4x");
}

TEST(JobExamples, AllOfThemLoad) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RUBATO_JOBS)) {
    if (entry.path().extension() != ".toml") continue;
    const auto job = load_job(entry.path().string());
    EXPECT_TRUE(job.ok()) << job.error().message;
    ++count;
  }
  EXPECT_GE(count, 4);
}

}  // namespace
}  // namespace rubato
