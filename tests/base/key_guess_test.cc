#include "base/key_guess.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/job_schema.h"

namespace rubato {
namespace {

std::vector<std::string> all_keys() {
  Job job;
  std::vector<std::string> paths;
  for (const JobKey& key : job_keys(job)) paths.push_back(key.path);
  return paths;
}

std::string guess(const std::string& path) { return guess_key(path, all_keys()).value_or("none"); }

TEST(KeyGuess, TypingMistakes) {
  EXPECT_EQ(guess("train.stesp"), "train.steps");
  EXPECT_EQ(guess("optimzer.rat"), "optimizer.rate");
  EXPECT_EQ(guess("consistency.mod"), "consistency.mode");
  EXPECT_EQ(guess("optimizer.beta_1"), "optimizer.beta1");
}

TEST(KeyGuess, AnotherTable) {
  EXPECT_EQ(guess("train.rate"), "optimizer.rate");
  EXPECT_EQ(guess("epochs"), "train.epochs");
  EXPECT_EQ(guess("train.momentun"), "optimizer.momentum");
  EXPECT_EQ(guess("optimizer.warmup_epochs"), "optimizer.schedule.warmup_epochs");
}

TEST(KeyGuess, WhatOtherProgramsCallThem) {
  EXPECT_EQ(guess("optimizer.lr"), "optimizer.rate");
  EXPECT_EQ(guess("optimizer.learning_rate"), "optimizer.rate");
  EXPECT_EQ(guess("optimizer.outer.lr"), "optimizer.outer.rate");
  EXPECT_EQ(guess("lr"), "optimizer.rate");
  EXPECT_EQ(guess("train.bs"), "train.batch");
  EXPECT_EQ(guess("train.batch_size"), "train.batch");
  EXPECT_EQ(guess("evaluation.batch_size"), "evaluation.batch");
  EXPECT_EQ(guess("optimizer.wd"), "optimizer.weight_decay");
  EXPECT_EQ(guess("train.weight_decay"), "optimizer.weight_decay");
  EXPECT_EQ(guess("train.num_epochs"), "train.epochs");
  EXPECT_EQ(guess("cluster.num_workers"), "cluster.workers");
  EXPECT_EQ(guess("data.num_workers"), "data.readers");
  EXPECT_EQ(guess("model.type"), "model.name");
  EXPECT_EQ(guess("data.type"), "data.kind");
}

TEST(KeyGuess, TooDeep) {
  EXPECT_EQ(guess("train.batch.size"), "train.batch");
  EXPECT_EQ(guess("evaluation.batch.size"), "evaluation.batch");
  EXPECT_EQ(guess("cluster.workers.count"), "cluster.workers");
}

// A long table that is right does not make any of its keys near: this was optimizer.schedule.name.
TEST(KeyGuess, ShortenedOrLengthened) {
  EXPECT_EQ(guess("optimizer.schedule.warmup"), "optimizer.schedule.warmup_epochs");
  EXPECT_EQ(guess("optimizer.warmup"), "optimizer.schedule.warmup_epochs");
  EXPECT_EQ(guess("model.dropout_rate"), "model.dropout");
}

TEST(KeyGuess, NothingNear) {
  EXPECT_EQ(guess("train.zzzzzzzz"), "none");
  EXPECT_EQ(guess("optimizer.schedule.zzzz"), "none");
  EXPECT_EQ(guess("x"), "none");
  EXPECT_EQ(guess(""), "none");
}

TEST(KeyGuess, Tables) {
  const std::vector<std::string> tables{"data", "evaluation", "model", "optimizer", "optimizer.schedule", "train"};
  const auto table = [&](const char* path) { return guess_table(path, tables).value_or("none"); };
  EXPECT_EQ(table("trian"), "train");
  EXPECT_EQ(table("training"), "train");
  EXPECT_EQ(table("optim"), "optimizer");
  EXPECT_EQ(table("eval"), "evaluation");
  EXPECT_EQ(table("dataset"), "data");
  EXPECT_EQ(table("data.model"), "model");
  EXPECT_EQ(table("train.schedule"), "optimizer.schedule");
  EXPECT_EQ(table("zzzz"), "none");
}

TEST(KeyGuess, EveryOtherNameIsOfAKeyThatIsThereAndNoneItself) {
  const std::vector<std::string> keys = all_keys();
  for (const OtherName& other : other_names())
    for (const std::string_view key : other.keys) {
      EXPECT_EQ(std::ranges::count(keys, key), 1) << key;
      const std::string same_table = std::string(key.substr(0, key.rfind('.') + 1)) + std::string(other.name);
      EXPECT_EQ(guess(same_table), key) << same_table;
    }
}

}  // namespace
}  // namespace rubato
