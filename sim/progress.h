// Shows how a simulation fares, as scripts/rubato shows a real job: on a terminal one line that is written
// again and again below those that stay, in a pipe a plain line now and then.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "base/time.h"

namespace rubato::sim {

class Progress {
 public:
  // Not wanted: only the lines that stay are shown.
  Progress(bool wanted, std::FILE* out);

  // Whether it is time for update(); cheap.
  [[nodiscard]] bool due(TimeNs real_now) const { return real_now >= next_; }
  // `status` is the scheduler's.
  void update(const nlohmann::ordered_json& status, TimeNs virtual_now, TimeNs real_now);
  // A line that stays.
  void say(const std::string& line);
  // Takes back what does not stay.
  void close();

 private:
  enum class Style { kQuiet, kLines, kBar };
  void draw(const std::string& line);

  const Style style_;
  std::FILE* const out_;
  const TimeNs started_;
  TimeNs next_;
  std::string drawn_;
};

// 250 ms, 3.2 s, 1:02 min, 2:03:04 h
[[nodiscard]] std::string duration_text(double seconds);
// 0.3120; one that blew up has too many digits to be read: 1.235e+31. As scripts/rubato_cli/text.py has it.
[[nodiscard]] std::string loss_text(double loss);
// 12,345
[[nodiscard]] std::string count_text(double count);

}  // namespace rubato::sim
