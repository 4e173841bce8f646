#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace rubato::log {

void open(const std::string& node_name, const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>(node_name, std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%H:%M:%S.%e %n %^%l%$: %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace rubato::log
