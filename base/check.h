// RUBATO_CHECK(condition, "format", arguments...): an invariant of the program, checked in release
// builds too. A violation is a bug: it prints where and what, and aborts. Never use it on bytes that
// came from outside; those get a Result.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace rubato {

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

}  // namespace rubato

#define RUBATO_CHECK(condition, ...)                                                         \
  do {                                                                                       \
    if (!(condition)) [[unlikely]]                                                           \
      ::rubato::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
