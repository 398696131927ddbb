// Reading the fields of one JSON object strictly: every field asked for must be there and of its type, and no
// field may be left over. For the module's own use.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/error.h"

namespace berth::vm {

/// JSON text as a value. InvalidArgument names `place` and the offset.
Result<boost::json::value> parseJson(std::string_view text, std::string_view place);

/// The object's fields, read by name. The first problem is kept and returned by finish().
class FieldReader {
 public:
  /// `place` is put in front of messages: "sizes.json: sizes[3]".
  FieldReader(const boost::json::value& value, std::string place);

  std::string text(std::string_view key);
  std::string textOr(std::string_view key, std::string fallback);
  std::int64_t number(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<std::int64_t> optionalNumber(std::string_view key, std::int64_t least, std::int64_t most);
  bool flagOr(std::string_view key, bool fallback);
  const boost::json::value* child(std::string_view key);

  /// InvalidArgument: the first problem met, or a field that nobody asked for.
  Result<void> finish() const;

 private:
  const boost::json::value* take(std::string_view key);
  void problem(std::string_view key, std::string_view what);

  const boost::json::object* object_ = nullptr;
  std::string place_;
  std::set<std::string, std::less<>> asked_;
  std::optional<Error> problem_;
};

}  // namespace berth::vm
