// Writes tests/protocol/golden anew: protocol_write_golden DIRECTORY. Look at the difference before you
// commit it: it is a change of the wire.
#include <fstream>
#include <iostream>

#include "tests/protocol/frames.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: protocol_write_golden DIRECTORY\n";
    return 2;
  }
  for (const auto& [name, frame] : rubato::protocol::test::golden_frames()) {
    std::ofstream file(std::string(argv[1]) + "/" + name);
    file << rubato::protocol::test::golden_text(frame);
    if (!file) return 1;
  }
}
