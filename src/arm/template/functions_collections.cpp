// Arrays, objects, and what strings have in common with them. Names in objects are found whatever their case.
#include <algorithm>
#include <array>
#include <limits>
#include <map>

#include <boost/json.hpp>

#include "arm/template/functions.h"
#include "arm/template/limits.h"

namespace berth::arm_template {
namespace {

bool holds(const json::array& array, const json::value& wanted) {
  return std::ranges::any_of(array, [&](const json::value& each) { return same(each, wanted); });
}

Result<json::value> toArray(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_array()) return args[0];
  json::array made;
  made.push_back(args[0]);
  return json::value(std::move(made));
}

Result<json::value> createArray(Arguments& args, const Surroundings& /*around*/) {
  json::array made;
  for (json::value& each : args.values()) made.push_back(std::move(each));
  return json::value(std::move(made));
}

Result<json::value> createObject(Arguments& args, const Surroundings& /*around*/) {
  if (args.size() % 2 != 0) return fail(badCall("names and values must come in pairs"));
  json::object made;
  for (std::size_t i = 0; i < args.size(); i += 2) {
    TRY(const std::string name, args.text(i));
    made[name] = args[i + 1];
  }
  return json::value(std::move(made));
}

Result<json::value> concat(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_array()) {
    json::array made;
    for (std::size_t i = 0; i < args.size(); ++i) {
      TRY(const json::array part, args.array(i));
      made.insert(made.end(), part.begin(), part.end());
    }
    return json::value(std::move(made));
  }
  std::string text;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const json::value& part = args[i];
    if (part.is_array() || part.is_object() || part.is_null())
      return fail(args.wrong(i, "a string, an integer or a boolean"));
    text += asText(part);
  }
  return json::value(text);
}

Result<json::value> contains(Arguments& args, const Surroundings& /*around*/) {
  if (const json::array* array = args[0].if_array()) return json::value(holds(*array, args[1]));
  if (const json::object* object = args[0].if_object())
    return json::value(find(*object, asText(args[1])) != nullptr);
  TRY(const std::string text, args.text(0));
  if (args[1].is_array() || args[1].is_object()) return fail(args.wrong(1, "a string"));
  return json::value(text.find(asText(args[1])) != std::string::npos);
}

Result<json::value> empty(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_null()) return json::value(true);
  if (const json::array* array = args[0].if_array()) return json::value(array->empty());
  if (const json::object* object = args[0].if_object()) return json::value(object->empty());
  TRY(const std::string text, args.text(0));
  return json::value(text.empty());
}

Result<json::value> length(Arguments& args, const Surroundings& /*around*/) {
  if (const json::array* array = args[0].if_array())
    return json::value(static_cast<std::int64_t>(array->size()));
  if (const json::object* object = args[0].if_object())
    return json::value(static_cast<std::int64_t>(object->size()));
  TRY(const std::string text, args.text(0));
  return json::value(static_cast<std::int64_t>(characters(text).size()));
}

template <bool kLast>
Result<json::value> firstOrLast(Arguments& args, const Surroundings& /*around*/) {
  if (const json::array* array = args[0].if_array()) {
    if (array->empty()) return json::value(nullptr);
    return kLast ? array->back() : array->front();
  }
  TRY(const std::string text, args.text(0));
  const std::vector<std::string_view> all = characters(text);
  if (all.empty()) return json::value("");
  return json::value(std::string(kLast ? all.back() : all.front()));
}

/// Elements or characters `from` to `to` of argument 0, as far as there are any.
Result<json::value> slice(const Arguments& args, std::int64_t from, std::int64_t to) {
  const auto bounded = [](std::int64_t at, std::size_t size) {
    return static_cast<std::size_t>(std::clamp<std::int64_t>(at, 0, static_cast<std::int64_t>(size)));
  };
  if (const json::array* array = args[0].if_array()) {
    json::array part;
    for (std::size_t i = bounded(from, array->size()); i < bounded(to, array->size()); ++i)
      part.push_back((*array)[i]);
    return json::value(std::move(part));
  }
  TRY(const std::string text, args.text(0));
  const std::vector<std::string_view> all = characters(text);
  std::string part;
  for (std::size_t i = bounded(from, all.size()); i < bounded(to, all.size()); ++i) part += all[i];
  return json::value(part);
}

Result<json::value> take(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::int64_t count, args.integer(1));
  return slice(args, 0, count);
}

Result<json::value> skip(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::int64_t count, args.integer(1));
  return slice(args, count, std::numeric_limits<std::int64_t>::max());
}

Result<json::value> range(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::int64_t start, args.integer(0));
  TRY(const std::int64_t count, args.integer(1));
  if (count < 0 || count > kMaxRange)
    return fail(badCall("argument 2 must be from 0 to " + std::to_string(kMaxRange)));
  if (start > std::numeric_limits<std::int64_t>::max() - count)
    return fail(badCall("the range ends past 64 bits"));
  json::array made;
  for (std::int64_t i = 0; i < count; ++i) made.emplace_back(start + i);
  return json::value(std::move(made));
}

Result<json::value> flatten(Arguments& args, const Surroundings& /*around*/) {
  TRY(const json::array array, args.array(0));
  json::array made;
  for (const json::value& each : array) {
    const json::array* inner = each.if_array();
    if (inner == nullptr) return fail(badCall("argument 1 must be an array of arrays"));
    made.insert(made.end(), inner->begin(), inner->end());
  }
  return json::value(std::move(made));
}

/// Later values win; objects in both are merged as well.
void mergeInto(json::object& target, const json::object& source) {
  for (const json::key_value_pair& each : source) {
    json::value& there = target[each.key()];
    if (there.is_object() && each.value().is_object()) {
      mergeInto(there.get_object(), each.value().get_object());
    } else {
      there = each.value();
    }
  }
}

Result<json::value> unite(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_array()) {
    json::array made;
    for (std::size_t i = 0; i < args.size(); ++i) {
      TRY(const json::array part, args.array(i));
      for (const json::value& each : part) {
        if (!holds(made, each)) made.push_back(each);
      }
    }
    return json::value(std::move(made));
  }
  json::object made;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (!args[i].is_object()) return fail(args.wrong(i, i == 0 ? "an array or an object" : "an object"));
    mergeInto(made, args[i].get_object());
  }
  return json::value(std::move(made));
}

Result<json::value> intersect(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_array()) {
    TRY(json::array made, args.array(0));
    for (std::size_t i = 1; i < args.size(); ++i) {
      TRY(const json::array other, args.array(i));
      json::array kept;
      for (const json::value& each : made) {
        if (holds(other, each) && !holds(kept, each)) kept.push_back(each);
      }
      made = std::move(kept);
    }
    return json::value(std::move(made));
  }
  TRY(json::object made, args.object(0));
  for (std::size_t i = 1; i < args.size(); ++i) {
    TRY(const json::object other, args.object(i));
    json::object kept;
    for (const json::key_value_pair& each : made) {
      const json::value* there = find(other, each.key());
      if (there != nullptr && same(*there, each.value())) kept[each.key()] = each.value();
    }
    made = std::move(kept);
  }
  return json::value(std::move(made));
}

std::map<std::string, json::value> sorted(const json::object& object) {
  std::map<std::string, json::value> all;
  for (const json::key_value_pair& each : object) all.emplace(each.key(), each.value());
  return all;
}

Result<json::value> items(Arguments& args, const Surroundings& /*around*/) {
  TRY(const json::object object, args.object(0));
  json::array made;
  for (auto& [key, value] : sorted(object)) made.push_back(json::object{{"key", key}, {"value", value}});
  return json::value(std::move(made));
}

Result<json::value> objectKeys(Arguments& args, const Surroundings& /*around*/) {
  TRY(const json::object object, args.object(0));
  json::array made;
  for (const auto& [key, value] : sorted(object)) made.emplace_back(key);
  return json::value(std::move(made));
}

Result<json::value> shallowMerge(Arguments& args, const Surroundings& /*around*/) {
  TRY(const json::array array, args.array(0));
  json::object made;
  for (const json::value& each : array) {
    if (!each.is_object()) return fail(badCall("argument 1 must be an array of objects"));
    for (const json::key_value_pair& pair : each.get_object()) made[pair.key()] = pair.value();
  }
  return json::value(std::move(made));
}

Result<json::value> tryGet(Arguments& args, const Surroundings& /*around*/) {
  const json::value* at = &args[0];
  for (std::size_t i = 1; i < args.size() && at != nullptr; ++i) {
    const json::array* array = at->if_array();
    if (array != nullptr && args[i].is_int64()) {
      const std::int64_t index = args[i].get_int64();
      at = index >= 0 && index < static_cast<std::int64_t>(array->size())
               ? &(*array)[static_cast<std::size_t>(index)]
               : nullptr;
    } else {
      at = args[i].is_string() ? find(*at, std::string_view(args[i].get_string())) : nullptr;
    }
  }
  return at == nullptr ? json::value(nullptr) : *at;
}

Result<json::value> nothing(Arguments& /*args*/, const Surroundings& /*around*/) {
  return json::value(nullptr);
}

constexpr std::array<FunctionEntry, 20> kFunctions{{{"array", 1, 1, toArray},
                                                    {"createArray", 0, kAnyNumber, createArray},
                                                    {"createObject", 0, kAnyNumber, createObject},
                                                    {"concat", 1, kAnyNumber, concat},
                                                    {"contains", 2, 2, contains},
                                                    {"empty", 1, 1, empty},
                                                    {"length", 1, 1, length},
                                                    {"first", 1, 1, firstOrLast<false>},
                                                    {"last", 1, 1, firstOrLast<true>},
                                                    {"take", 2, 2, take},
                                                    {"skip", 2, 2, skip},
                                                    {"range", 2, 2, range},
                                                    {"flatten", 1, 1, flatten},
                                                    {"union", 1, kAnyNumber, unite},
                                                    {"intersection", 1, kAnyNumber, intersect},
                                                    {"items", 1, 1, items},
                                                    {"objectKeys", 1, 1, objectKeys},
                                                    {"shallowMerge", 1, 1, shallowMerge},
                                                    {"tryGet", 2, kAnyNumber, tryGet},
                                                    {"null", 0, 0, nothing}}};

}  // namespace

std::span<const FunctionEntry> collectionFunctions() { return kFunctions; }

}  // namespace berth::arm_template
