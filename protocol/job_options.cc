#include "protocol/job_options.h"

#include <CLI/CLI.hpp>
#include <map>

namespace rubato::protocol {

Result<Overrides> JobOptions::overrides() const {
  Overrides all;
  for (const std::string& text : sets) {
    RUBATO_ASSIGN(Override override, parse_override(text));
    all.push_back(std::move(override));
  }
  all.insert(all.end(), shorthands.begin(), shorthands.end());
  return all;
}

void add_job_options(CLI::App& app, JobOptions& options) {
  app.add_option("--set", options.sets, "key=value: overrides one key, e.g. train.steps=5; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  for (const auto& [option, key] : std::map<std::string, std::string>{{"--servers", "cluster.servers"},
                                                                      {"--workers", "cluster.workers"},
                                                                      {"--mode", "consistency.mode"},
                                                                      {"--seed", "train.seed"}})
    app.add_option_function<std::string>(
           option,
           [&options, option = option, key = key](const std::string& value) {
             options.shorthands.push_back({key, value, option});
           },
           "the same as --set " + key + "=..., and wins over it")
        ->take_last();
}

}  // namespace rubato::protocol
