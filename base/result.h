// Errors as values.
//
// `Result<T>` holds either a T or an `Error`; `Status` is a Result without a value. Everything that
// can fail because of the world outside (network, disk, flags, a job file, an allocator) returns one.
// A programmer's mistake is no Error: it is a RUBATO_CHECK (base/check.h).
//
// An Error carries the cause, which decides the exit code of a process that ends because of it, and
// one sentence that says what was expected, what was found and what to do.
//
// Thread-safety: values; no shared state.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace rubato {

// Why something failed. The numbers are the exit codes of every Rubato program and are documented
// in the README: never renumber.
enum class Cause : int {
  kInternal = 1,      // a bug of ours, or an exception nobody expected
  kUsage = 2,         // a flag or a key of the job file
  kData = 3,          // a data set is missing, truncated, of the wrong shape
  kNetwork = 4,       // a port in use, an address that does not resolve
  kPeerLost = 5,      // a server or the scheduler went away, or never came
  kDiverged = 6,      // a gradient was not finite and the job says nonfinite = "stop"
  kDevice = 7,        // the device asked for is not there
  kStorage = 8,       // a file could not be written: disk full, permission
  kRefused = 9,       // the other side refused us: protocol version, job, hash, key
  kMalformed = 10,    // bytes that are no valid frame; counted, never fatal to the receiver
  kEvicted = 11,      // this worker was taken out of the job
  kDiffers = 12,      // a replay came out otherwise than its run
  kMemory = 13,       // the system gives less memory than is wanted
  kInterrupted = 130  // Ctrl-C
};

struct [[nodiscard]] Error {
  Cause cause = Cause::kInternal;
  std::string message;

  [[nodiscard]] int exit_code() const { return static_cast<int>(cause); }
  // The same error with `context: ` before its message.
  [[nodiscard]] Error in(std::string_view context) const { return {cause, std::string(context) + ": " + message}; }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & {
    RUBATO_CHECK(ok(), "value() of an error: {}", std::get<1>(state_).message);
    return std::get<0>(state_);
  }
  [[nodiscard]] const T& value() const& {
    RUBATO_CHECK(ok(), "value() of an error: {}", std::get<1>(state_).message);
    return std::get<0>(state_);
  }
  [[nodiscard]] T&& value() && { return std::move(value()); }
  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T&& operator*() && { return std::move(value()); }
  [[nodiscard]] T* operator->() { return &value(); }
  [[nodiscard]] const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const {
    RUBATO_CHECK(!ok(), "error() of a value");
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const {
    RUBATO_CHECK(!ok(), "error() of a value");
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace rubato

// Returns the error of `expression` (a Status or a Result) from the enclosing function.
#define RUBATO_TRY(expression)                                                                \
  do {                                                                                        \
    if (auto rubato_status = (expression); !rubato_status.ok()) return rubato_status.error(); \
  } while (false)

// Declares `variable` from the value of `expression` (a Result), or returns its error.
#define RUBATO_ASSIGN(variable, expression) \
  RUBATO_ASSIGN_IMPL(RUBATO_CONCAT(rubato_result_, __LINE__), variable, expression)
#define RUBATO_ASSIGN_IMPL(result, variable, expression) \
  auto result = (expression);                            \
  if (!result.ok()) return result.error();               \
  variable = std::move(result).value()
#define RUBATO_CONCAT(a, b) RUBATO_CONCAT_IMPL(a, b)
#define RUBATO_CONCAT_IMPL(a, b) a##b
