#include "vm/json.h"

#include <utility>

#include <boost/json/stream_parser.hpp>

namespace berth::vm {

Result<boost::json::value> parseJson(std::string_view text, std::string_view place) {
  boost::json::stream_parser parser;
  boost::json::error_code error;
  const std::size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error && read == text.size()) parser.finish(error);
  const bool rest = !error && read < text.size();
  if (error || rest) {
    return fail(ErrorCode::InvalidArgument, std::string(place) + ": not JSON at offset " +
                                                std::to_string(read) + ": " +
                                                (rest ? "text after the value" : error.message()));
  }
  return parser.release();
}

FieldReader::FieldReader(const boost::json::value& value, std::string place)
    : object_(value.if_object()), place_(std::move(place)) {
  if (object_ == nullptr) problem_ = Error{ErrorCode::InvalidArgument, place_ + ": not an object"};
}

const boost::json::value* FieldReader::take(std::string_view key) {
  asked_.emplace(key);
  return object_ == nullptr ? nullptr : object_->if_contains(key);
}

void FieldReader::problem(std::string_view key, std::string_view what) {
  if (problem_) return;
  problem_ = Error{ErrorCode::InvalidArgument, place_ + "." + std::string(key) + ": " + std::string(what)};
}

std::string FieldReader::text(std::string_view key) {
  const boost::json::value* value = take(key);
  if (value == nullptr) {
    problem(key, "is missing");
    return {};
  }
  if (const auto* string = value->if_string()) return std::string(*string);
  problem(key, "is not text");
  return {};
}

std::string FieldReader::textOr(std::string_view key, std::string fallback) {
  return object_ != nullptr && object_->contains(key) ? text(key)
                                                      : (asked_.emplace(key), std::move(fallback));
}

std::int64_t FieldReader::number(std::string_view key, std::int64_t least, std::int64_t most) {
  if (const auto value = optionalNumber(key, least, most)) return *value;
  problem(key, "is missing");
  return least;
}

std::optional<std::int64_t> FieldReader::optionalNumber(std::string_view key, std::int64_t least,
                                                        std::int64_t most) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return std::nullopt;
  const std::int64_t* number = value->if_int64();
  if (number == nullptr) {
    problem(key, "is not a whole number");
    return least;
  }
  if (*number < least || *number > most) {
    problem(key, std::to_string(*number) + " is not between " + std::to_string(least) + " and " +
                     std::to_string(most));
    return least;
  }
  return *number;
}

bool FieldReader::flagOr(std::string_view key, bool fallback) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return fallback;
  if (const bool* flag = value->if_bool()) return *flag;
  problem(key, "is not true or false");
  return fallback;
}

const boost::json::value* FieldReader::child(std::string_view key) {
  const boost::json::value* value = take(key);
  if (value == nullptr) problem(key, "is missing");
  return value;
}

Result<void> FieldReader::finish() const {
  if (problem_) return fail(*problem_);
  for (const auto& field : *object_) {
    if (!asked_.contains(field.key())) {
      return fail(ErrorCode::InvalidArgument, place_ + "." + std::string(field.key()) + ": unknown field");
    }
  }
  return {};
}

}  // namespace berth::vm
