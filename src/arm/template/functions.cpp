#include "arm/template/functions.h"

#include <map>

#include <boost/json.hpp>

#include "arm/template/limits.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

const std::map<std::string, const FunctionEntry*>& registry() {
  static const std::map<std::string, const FunctionEntry*> kRegistry = [] {
    std::map<std::string, const FunctionEntry*> all;
    for (const auto entries :
         {textFunctions(), collectionFunctions(), numberFunctions(), dateFunctions(), resourceFunctions()}) {
      for (const FunctionEntry& entry : entries) all.emplace(toLower(entry.name), &entry);
    }
    return all;
  }();
  return kRegistry;
}

}  // namespace

Result<void> Budget::spend(std::size_t bytes) {
  ++steps_;
  bytes_ += bytes;
  if (steps_ <= kMaxSteps && bytes_ <= kMaxWorkBytes) return {};
  return fail(badCall("the template asks for more work than a deployment may cost"));
}

const FunctionEntry* findFunction(std::string_view name) {
  const auto found = registry().find(toLower(name));
  return found == registry().end() ? nullptr : found->second;
}

Error badCall(const std::string& message) {
  return Error{ErrorCode::InvalidArgument, message, "InvalidTemplate", {}};
}

Error Arguments::wrong(std::size_t i, std::string_view wanted) const {
  return badCall("argument " + std::to_string(i + 1) + " must be " + std::string(wanted) + ", not " +
                 std::string(kindOf(values_[i])));
}

Result<std::string> Arguments::text(std::size_t i) const {
  if (const json::string* text = values_[i].if_string()) return std::string(*text);
  return fail(wrong(i, "a string"));
}

Result<std::int64_t> Arguments::integer(std::size_t i) const {
  if (const std::int64_t* number = values_[i].if_int64()) return *number;
  return fail(wrong(i, "an integer"));
}

Result<bool> Arguments::boolean(std::size_t i) const {
  if (const bool* value = values_[i].if_bool()) return *value;
  return fail(wrong(i, "a boolean"));
}

Result<json::array> Arguments::array(std::size_t i) const {
  if (const json::array* array = values_[i].if_array()) return *array;
  return fail(wrong(i, "an array"));
}

Result<json::object> Arguments::object(std::size_t i) const {
  if (const json::object* object = values_[i].if_object()) return *object;
  return fail(wrong(i, "an object"));
}

std::string asText(const json::value& value) {
  if (const json::string* text = value.if_string()) return std::string(*text);
  if (const bool* truth = value.if_bool()) return *truth ? "True" : "False";
  return json::serialize(value);
}

bool same(const json::value& a, const json::value& b) { return a == b; }

std::size_t sizeOf(const json::value& value) {
  std::size_t size = sizeof(json::value);
  if (const json::string* text = value.if_string()) size += text->size();
  if (const json::array* array = value.if_array()) {
    for (const json::value& each : *array) size += sizeOf(each);
  }
  if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& each : *object) size += each.key().size() + sizeOf(each.value());
  }
  return size;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> all;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) ++end;
    all.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return all;
}

}  // namespace berth::arm_template
