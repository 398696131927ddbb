#include "manifest/json_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/error.hpp>

#include "base/text.h"
#include "manifest/failure.h"
#include "manifest/limits.h"
#include "manifest/tree_builder.h"

namespace berth::manifest {
namespace {

namespace json = boost::json;

// Boost.JSON calls these; the names are its own. What the builder refuses ends the parse.
class Handler {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  // A closure of members, since basic_parser makes its handler itself.
  Handler(TreeBuilder& builder, const Position& position) : builder_(builder), position_(position) {}

  bool on_document_begin(json::error_code& /*ec*/) { return true; }
  bool on_document_end(json::error_code& /*ec*/) { return true; }
  bool on_object_begin(json::error_code& ec) { return keep(builder_.beginMap(position_), ec); }
  bool on_object_end(std::size_t /*n*/, json::error_code& ec) { return keep(builder_.end(), ec); }
  bool on_array_begin(json::error_code& ec) { return keep(builder_.beginList(position_), ec); }
  bool on_array_end(std::size_t /*n*/, json::error_code& ec) { return keep(builder_.end(), ec); }
  bool on_key_part(json::string_view part, std::size_t /*n*/, json::error_code& /*ec*/) {
    return collect(part);
  }
  bool on_key(json::string_view part, std::size_t /*n*/, json::error_code& ec) {
    collect(part);
    return keep(builder_.key(std::exchange(text_, {}), position_), ec);
  }
  bool on_string_part(json::string_view part, std::size_t /*n*/, json::error_code& /*ec*/) {
    return collect(part);
  }
  bool on_string(json::string_view part, std::size_t /*n*/, json::error_code& ec) {
    collect(part);
    return scalar(NodeType::Text, ec);
  }
  bool on_number_part(json::string_view part, json::error_code& /*ec*/) { return collect(part); }
  bool on_int64(std::int64_t /*value*/, json::string_view part, json::error_code& ec) {
    collect(part);
    return scalar(NodeType::Number, ec);
  }
  bool on_uint64(std::uint64_t /*value*/, json::string_view part, json::error_code& ec) {
    collect(part);
    return scalar(NodeType::Number, ec);
  }
  bool on_double(double /*value*/, json::string_view part, json::error_code& ec) {
    collect(part);
    return scalar(NodeType::Number, ec);
  }
  bool on_bool(bool value, json::error_code& ec) {
    text_ = value ? "true" : "false";
    return scalar(NodeType::Bool, ec);
  }
  bool on_null(json::error_code& ec) { return scalar(NodeType::Null, ec); }
  bool on_comment_part(json::string_view /*part*/, json::error_code& /*ec*/) { return true; }
  bool on_comment(json::string_view /*part*/, json::error_code& /*ec*/) { return true; }

  const std::optional<Error>& refusal() const { return refusal_; }

 private:
  bool collect(json::string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool scalar(NodeType type, json::error_code& ec) {
    return keep(builder_.scalar(type, std::exchange(text_, {}), position_), ec);
  }
  bool keep(Result<void> done, json::error_code& ec) {
    if (done) return true;
    refusal_ = std::move(done).error();
    ec = json::error::exception;
    return false;
  }

  TreeBuilder& builder_;
  const Position& position_;
  std::string text_;
  std::optional<Error> refusal_;
};

Error syntaxError(const Place& at, JsonLines lines, Position where, const std::string& cause) {
  Place place = at;
  const std::string position =
      "line " + std::to_string(where.line) + ", column " + std::to_string(where.column);
  if (lines == JsonLines::Known) {
    place.line = where.line;
    place.column = where.column;
    return invalid(place, "not JSON: " + cause).value();
  }
  return invalid(place, "not JSON: " + cause + " at " + position + " of the string").value();
}

}  // namespace

Result<Node> parseJson(std::string_view text, const Place& at, JsonLines lines) {
  TreeBuilder builder(at.file, at.path);
  Position position = lines == JsonLines::Known ? Position{1, 0} : Position{at.line, at.column};
  json::parse_options options;
  options.max_depth = static_cast<std::size_t>(kMaxDepth) + 1;  // The builder's own limit comes first.
  json::basic_parser<Handler> parser(options, builder, position);

  // Line by line, so that the handler knows the line it is in.
  int line = 1;
  json::error_code ec;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    const std::size_t used = parser.write_some(true, part.data(), part.size(), ec);
    if (parser.handler().refusal()) return fail(*parser.handler().refusal());
    const std::string_view rest = trim(part.substr(used));
    if (!ec && !rest.empty()) ec = json::error::extra_data;
    if (ec) {
      return fail(syntaxError(at, lines, {line, static_cast<int>(used) + 1}, ec.message()));
    }
    text.remove_prefix(part.size());
    if (!text.empty()) ++line;
    if (lines == JsonLines::Known) position.line = line;
  }
  parser.write_some(false, "", 0, ec);
  if (parser.handler().refusal()) return fail(*parser.handler().refusal());
  if (ec) return fail(syntaxError(at, lines, {line, 1}, ec.message()));
  return builder.takeRoot();
}

}  // namespace berth::manifest
