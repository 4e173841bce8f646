// docs/wire.md against the code: its table of the header with the bytes that each field really occupies,
// its list of messages with what each really codes.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "protocol/wire.h"
#include "tests/protocol/frames.h"

namespace rubato::protocol {
namespace {

using Row = std::vector<std::string>;

// The rows of the table in docs/wire.md whose first column has this title.
std::vector<Row> table(const std::string& title) {
  std::ifstream file(RUBATO_WIRE_DOC);
  std::vector<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| ")) {
      inside = inside && line.starts_with("|--");
      continue;
    }
    Row row;
    for (std::size_t at = 2; at < line.size();) {
      const std::size_t bar = line.find('|', at);
      std::string cell = line.substr(at, bar - at);
      cell.erase(cell.find_last_not_of(' ') + 1);
      row.push_back(std::move(cell));
      at = bar == std::string::npos ? bar : bar + 2;
    }
    if (inside) rows.push_back(row);
    inside = inside || row[0] == title;
  }
  EXPECT_FALSE(rows.empty()) << title;
  return rows;
}

// ---- the header ------------------------------------------------------------------------------------

struct Field {
  std::string name, type;
  std::set<std::size_t> bytes;
};

template <typename T>
std::string type_text() {
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_enum_v<T>) return type_text<std::underlying_type_t<T>>();
  const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
  return fmt::format("{}{}", kind, 8 * sizeof(T));
}

// Sets one field of a header to all ones and sees which bytes change.
template <typename T, typename Member>
Field measure(const std::string& name, Member member) {
  Header zero{}, ones{};
  std::memset(&member(zero), 0, sizeof(T));
  std::memset(&member(ones), 0xFF, sizeof(T));
  const HeaderBytes a = encode_header(zero), b = encode_header(ones);
  Field found{name, type_text<T>(), {}};
  for (std::size_t at = 0; at < kHeaderBytes - sizeof(std::uint64_t); ++at)
    if (a[at] != b[at]) found.bytes.insert(at);
  EXPECT_EQ(found.bytes.size(), sizeof(T)) << name;
  return found;
}
template <typename T>
Field field(const std::string& name, T Header::*member) {
  return measure<T>(name, [&](Header& h) -> T& { return h.*member; });
}
template <typename S, typename T>
Field field(const std::string& name, S Header::*outer, T S::*inner) {
  return measure<T>(name, [&](Header& h) -> T& { return (h.*outer).*inner; });
}

std::vector<Field> measured() {
  return {field("type", &Header::type),
          field("content", &Header::content),
          field("dtype", &Header::dtype),
          field("codec", &Header::codec),
          field("joined", &Header::joined),
          field("fate", &Header::fate),
          field("priority", &Header::priority),
          field("job_id", &Header::job_id),
          field("incarnation", &Header::incarnation),
          field("generation", &Header::generation),
          field("route", &Header::route),
          field("slice", &Header::slice),
          field("sequence", &Header::sequence),
          field("offset", &Header::offset),
          field("length", &Header::length),
          field("version", &Header::version),
          field("floor", &Header::floor),
          field("clock", &Header::clock),
          field("local_steps", &Header::local_steps),
          field("samples", &Header::samples),
          field("rule_epoch", &Header::rule_epoch),
          field("rate", &Header::rate),
          field("age", &Header::age),
          field("snapshot", &Header::snapshot),
          field("deadline_ns", &Header::deadline_ns),
          field("trace_id", &Header::trace_id),
          field("payload_checksum", &Header::payload_checksum),
          field("from.role", &Header::from, &NodeId::role),
          field("from.rank", &Header::from, &NodeId::rank),
          field("to.role", &Header::to, &NodeId::role),
          field("to.rank", &Header::to, &NodeId::rank),
          field("node.level", &Header::node, &LeafNode::level),
          field("node.index", &Header::node, &LeafNode::index)};
}

TEST(WireDoc, HeaderTableHasEveryByteOnce) {
  std::size_t next = 0;
  for (const Row& row : table("offset")) {
    EXPECT_EQ(std::stoul(row[0]), next) << row[2];
    next += std::stoul(row[1]);
  }
  EXPECT_EQ(next, kHeaderBytes);
}

TEST(WireDoc, HeaderFieldsLieWhereTheTableSays) {
  std::map<std::string, Field> documented;
  for (const Row& row : table("offset")) {
    Field& entry = documented[row[2]] = {row[2], row[3], {}};
    for (std::size_t i = 0; i < std::stoul(row[1]); ++i) entry.bytes.insert(std::stoul(row[0]) + i);
  }
  for (const Field& each : measured()) {
    ASSERT_TRUE(documented.contains(each.name)) << each.name;
    EXPECT_EQ(documented[each.name].type, each.type) << each.name;
    EXPECT_EQ(documented[each.name].bytes, each.bytes) << each.name;
    documented.erase(each.name);
  }
  std::set<std::string> rest;
  for (const auto& [name, entry] : documented) rest.insert(name);
  EXPECT_EQ(rest, (std::set<std::string>{"magic", "protocol version", "header bytes", "reserved", "header checksum"}));
}

// A field added to Header must come into `measured` too.
TEST(WireDoc, EveryMemberOfHeaderIsMeasured) {
  std::set<std::string> outer;
  for (const Field& each : measured()) outer.insert(each.name.substr(0, each.name.find('.')));
  EXPECT_EQ(outer.size(), test::member_count<Header>());
}

// ---- messages --------------------------------------------------------------------------------------

// Hears a message list its fields, and says their types as docs/wire.md does.
class TypesOfFields {
 public:
  template <typename... Ts>
  void operator()(Ts&... values) {
    (add(values), ...);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  template <typename T>
  void add(T& value) {
    if (!text_.empty()) text_ += ", ";
    text_ += name(value);
  }
  template <typename T>
  static std::string name(T& value) {
    if constexpr (requires { value.fields(std::declval<TypesOfFields&>()); }) {
      TypesOfFields inner;
      value.fields(inner);
      return "(" + inner.text() + ")";
    } else {
      return type_text<T>();
    }
  }
  static std::string name(std::string&) { return "text"; }
  template <List L>
  static std::string name(L&) {
    typename L::value_type element{};
    return "list(" + name(element) + ")";
  }

  std::string text_;
};

// "`rank` u32, `nodes` list(*node*)" -> "u32, list((u8, u32))"
std::string documented_types(std::string fields, const std::map<std::string, std::string>& structures) {
  fields = std::regex_replace(fields, std::regex("`[^`]*` "), "");
  std::smatch match;
  while (std::regex_search(fields, match, std::regex(R"(\*([^*]*)\*)"))) {
    const auto structure = structures.find(match[1]);
    if (structure == structures.end()) return "no structure " + match[1].str();
    fields = match.prefix().str() + "(" + documented_types(structure->second, structures) + ")" + match.suffix().str();
  }
  return fields;
}

TEST(WireDoc, ListOfMessagesIsWhatIsCoded) {
  std::map<std::string, std::string> structures;
  for (const Row& row : table("structure")) structures[row[0]] = row[1];
  std::map<int, Row> messages;
  for (const Row& row : table("type")) messages[std::stoi(row[0])] = row;

  for (Body& body : test::bodies()) {
    const transport::Frame frame = encode(test::stamp(), body);
    const Header header = *decode_header(frame.header.bytes());
    const auto found = messages.find(static_cast<int>(header.type));
    ASSERT_NE(found, messages.end()) << test::name_of(frame);
    const Row& row = found->second;
    EXPECT_EQ(row[1], test::name_of(frame));
    const std::string said = row.size() > 3 ? row[3] : "";
    std::visit(
        [&](auto& message) {
          if constexpr (Coded<std::decay_t<decltype(message)>>) {
            TypesOfFields types;
            message.fields(types);
            EXPECT_EQ(documented_types(said, structures), types.text()) << row[1];
          } else {
            const char* content = header.content == Content::kGradient  ? "gradient"
                                  : header.content == Content::kDelta   ? "delta"
                                  : header.content == Content::kWeights ? "weights"
                                                                        : "none";
            EXPECT_NE(said.find(content), std::string::npos) << row[1] << ": " << said;
          }
        },
        body);
    messages.erase(found);
  }
  EXPECT_TRUE(messages.empty()) << "there is no message " << messages.begin()->second[1];
}

}  // namespace
}  // namespace rubato::protocol
