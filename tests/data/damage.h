// What a reader has to stand: a good file cut off at every length, and with every byte changed.
#pragma once

#include <functional>
#include <string>

namespace rubato::data::test {

// `open` reads the file at `path` and gives the message of its error, or nothing. Every file that is too short must
// give one, starting with `path`'s folder or name; of one with a changed byte it is enough that reading it comes to an
// end. Returns how many changed bytes were noticed.
std::size_t expect_damage_is_survived(const std::string& path, const std::string& bytes,
                                      const std::function<std::string()>& open);

}  // namespace rubato::data::test
