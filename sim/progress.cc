#include "sim/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

namespace rubato::sim {
namespace {

using Json = nlohmann::ordered_json;

constexpr TimeNs kBarInterval = 100 * kMillisecond;
// A pipe gets a line about every 2 s, later one each time a thirtieth of the run's age has passed.
constexpr TimeNs kLinesInterval = 2 * kSecond;
constexpr TimeNs kLinesShare = 30;
// A status of very many workers takes its time: never more than this part of all.
constexpr TimeNs kCostShare = 100;
constexpr int kBarWidth = 20;

std::optional<double> number(const Json& status, const char* key) {
  const auto found = status.find(key);
  return found != status.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

double fraction_done(const Json& status) {
  const auto done = number(status, "samples_done"), total = number(status, "samples_total");
  return done && total && *total > 0.0 ? std::clamp(*done / *total, 0.0, 1.0) : 0.0;
}

// epoch 2/5, 52%, 3.1 s of virtual time, 41,210 samples/s, loss 0.3120, accuracy 89.4%, 25.1 s left
std::string headline(const Json& status, TimeNs virtual_now, double real_s) {
  std::vector<std::string> parts;
  if (const auto epoch = number(status, "epoch")) {
    const auto epochs = number(status, "epochs");
    parts.push_back(epochs && *epochs > 0 ? fmt::format("epoch {:.0f}/{:.0f}", *epoch, *epochs)
                                          : fmt::format("epoch {:.0f}", *epoch));
  }
  const double done = fraction_done(status);
  parts.push_back(fmt::format("{:.0f}%", 100.0 * done));
  parts.push_back(fmt::format("{} of virtual time", duration_text(seconds(virtual_now))));
  if (const auto rate = number(status, "samples_per_s")) parts.push_back(count_text(*rate) + " samples/s");
  if (const auto loss = number(status, "train_loss"))
    parts.push_back("loss " + (std::isnan(*loss) ? "nan" : loss_text(*loss)));
  if (const auto error = number(status, "train_reconstruction"))
    parts.push_back(fmt::format("reconstruction error {:.4f}", *error));
  const auto held_out = number(status, "validation_accuracy");
  if (const auto accuracy = held_out ? held_out : number(status, "test_accuracy"))
    parts.push_back(fmt::format("{}accuracy {:.1f}%", held_out ? "validation " : "", 100.0 * *accuracy));
  if (done > 0.0) parts.push_back(duration_text(real_s * (1.0 - done) / done) + " left");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string bar(double done) {
  const int filled = static_cast<int>(std::lround(done * kBarWidth));
  std::string text;
  for (int i = 0; i < kBarWidth; ++i) text += i < filled ? "━" : "─";
  return text;
}

std::size_t terminal_columns(std::FILE* out) {
  winsize size{};
  return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string duration_text(double seconds) {
  if (seconds < 1.0) return fmt::format("{:.0f} ms", 1000.0 * seconds);
  if (seconds < 60.0) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string loss_text(double loss) {
  return std::abs(loss) < 1e6 ? fmt::format("{:.4f}", loss) : fmt::format("{:.4g}", loss);
}

std::string count_text(double count) {
  std::string text = fmt::format("{:.0f}", count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

Progress::Progress(bool wanted, std::FILE* out)
    : style_(!wanted                   ? Style::kQuiet
             : ::isatty(::fileno(out)) ? Style::kBar
                                       : Style::kLines),
      out_(out),
      started_(steady_now()),
      next_(wanted ? started_ : kNever) {}

void Progress::update(const Json& status, TimeNs virtual_now, TimeNs real_now) {
  const TimeNs age = real_now - started_;
  const std::string line = headline(status, virtual_now, seconds(age));
  if (style_ == Style::kLines) {
    next_ = real_now + std::max(kLinesInterval, age / kLinesShare);
    say(fmt::format("{:>10}  {}", duration_text(seconds(age)), line));
  } else {
    next_ = real_now + kBarInterval;
    // Never the last column: a full line would wrap.
    const std::size_t room = terminal_columns(out_) - 1, used = kBarWidth + 2;
    draw(bar(fraction_done(status)) + "  " + line.substr(0, room > used ? room - used : 0));
  }
  next_ = std::max(next_, real_now + kCostShare * (steady_now() - real_now));
}

void Progress::say(const std::string& line) {
  if (!drawn_.empty()) fmt::print(out_, "\r\x1b[K");
  fmt::print(out_, "{}\n{}", line, drawn_);
  std::fflush(out_);
}

void Progress::draw(const std::string& line) {
  drawn_ = line;
  fmt::print(out_, "\r\x1b[K{}", drawn_);
  std::fflush(out_);
}

void Progress::close() {
  if (!drawn_.empty()) fmt::print(out_, "\r\x1b[K");
  drawn_.clear();
  std::fflush(out_);
}

}  // namespace rubato::sim
