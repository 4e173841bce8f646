// Lines for people, on standard error: `12:00:00.123 worker-0 warning: text`. Metrics never go through
// here. A process names itself once, in main; until then lines carry no name.
//
// Thread-safety: any thread may log.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace rubato::log {

// `level`: trace, debug, info, warning or error.
void open(const std::string& node_name, const std::string& level);

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

}  // namespace rubato::log
