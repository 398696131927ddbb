#include "manifest/value.h"

#include <charconv>
#include <system_error>

#include "base/text.h"
#include "manifest/failure.h"

namespace berth::manifest {

Place below(const Place& place, std::string_view key, Position position) {
  std::string path = place.path;
  if (!path.empty()) path += ".";
  path += key;
  return Place{place.file, position.line, position.column, std::move(path)};
}

Place item(const Place& place, std::size_t index, Position position) {
  return Place{place.file, position.line, position.column, place.path + "[" + std::to_string(index) + "]"};
}

tl::unexpected<Error> Value::invalid(const std::string& cause, std::string_view reason) const {
  return manifest::invalid(place_, cause, reason);
}

tl::unexpected<Error> Value::wrongType(std::string_view wanted) const {
  const std::string found(describe(node_->type));
  const bool quotable =
      wanted == "a text" && (node_->type == NodeType::Number || node_->type == NodeType::Bool);
  const std::string hint = quotable ? " (write it in quotes: " + quoted(node_->text) + ")" : std::string();
  return invalid("must be " + std::string(wanted) + ", not " + found + hint);
}

Result<std::string> Value::text() const {
  if (node_->type != NodeType::Text) return wrongType("a text");
  return node_->text;
}

Result<bool> Value::boolean() const {
  if (node_->type != NodeType::Bool) return wrongType("true or false");
  const std::string lower = toLower(node_->text);
  return lower == "true" || lower == "yes" || lower == "on" || lower == "y";
}

Result<std::int64_t> Value::integer(std::int64_t min, std::int64_t max) const {
  if (node_->type != NodeType::Number) return wrongType("a whole number");
  std::int64_t value = 0;
  const std::string& text = node_->text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return invalid("must be a whole number, not " + quoted(text));
  }
  if (value < min || value > max) {
    return invalid("must be from " + std::to_string(min) + " to " + std::to_string(max) + ", not " + text);
  }
  return value;
}

Result<std::string> Value::textOrNumber() const {
  if (node_->type != NodeType::Text && node_->type != NodeType::Number)
    return wrongType("a text or a number");
  return node_->text;
}

Result<std::vector<Value>> Value::list() const {
  if (node_->type != NodeType::List) return wrongType("a list");
  std::vector<Value> values;
  values.reserve(node_->items.size());
  for (std::size_t i = 0; i < node_->items.size(); ++i) {
    values.emplace_back(node_->items[i], item(place_, i, node_->items[i].position));
  }
  return values;
}

Result<std::vector<std::string>> Value::texts() const {
  TRY(const std::vector<Value> values, list());
  std::vector<std::string> texts;
  for (const Value& value : values) {
    TRY(std::string text, value.text());
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<std::vector<std::pair<std::string, Value>>> Value::entries() const {
  if (node_->type != NodeType::Map) return wrongType("a map");
  std::vector<std::pair<std::string, Value>> found;
  found.reserve(node_->entries.size());
  for (const Entry& entry : node_->entries) {
    found.emplace_back(entry.key, Value(entry.value, below(place_, entry.key, entry.position)));
  }
  return found;
}

Result<Pairs> Value::pairs() const {
  TRY(const auto found, entries());
  Pairs pairs;
  for (const auto& [key, value] : found) {
    TRY(std::string text, value.text());
    pairs.emplace_back(key, std::move(text));
  }
  return pairs;
}

Result<Object> Object::of(const Value& value, std::vector<Warning>& warnings, Keys keys) {
  if (value.node().type != NodeType::Map) {
    return value.invalid("must be a map, not " + std::string(describe(value.node().type)));
  }
  return Object(value.node(), value.place(), warnings, keys);
}

std::optional<std::size_t> Object::indexOf(std::string_view key) const {
  const std::string lower = keys_ == Keys::AnyCase ? toLower(key) : std::string();
  for (std::size_t i = 0; i < node_->entries.size(); ++i) {
    const std::string& here = node_->entries[i].key;
    if (keys_ == Keys::AnyCase ? toLower(here) == lower : here == key) return i;
  }
  return std::nullopt;
}

Place Object::placeOf(std::size_t index) const {
  const Entry& entry = node_->entries[index];
  return below(place_, entry.key, entry.position);
}

std::optional<Value> Object::find(std::string_view key) {
  const auto index = indexOf(key);
  if (!index) return std::nullopt;
  seen_[*index] = true;
  const Node& node = node_->entries[*index].value;
  if (node.type == NodeType::Null) return std::nullopt;
  return Value(node, placeOf(*index));
}

Result<Value> Object::require(std::string_view key) {
  const auto value = find(key);
  if (!value) return invalid(place_, std::string(key) + " is required");
  return *value;
}

Result<std::string> Object::text(std::string_view key, std::string_view fallback) {
  const auto value = find(key);
  if (!value) return std::string(fallback);
  return value->text();
}

Result<bool> Object::boolean(std::string_view key, bool fallback) {
  const auto value = find(key);
  if (!value) return fallback;
  return value->boolean();
}

Result<std::int64_t> Object::integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                                     std::int64_t max) {
  const auto value = find(key);
  if (!value) return fallback;
  return value->integer(min, max);
}

Result<std::vector<Value>> Object::list(std::string_view key) {
  const auto value = find(key);
  if (!value) return std::vector<Value>{};
  return value->list();
}

void Object::noEffect(std::initializer_list<std::string_view> keys, std::string_view why) {
  for (const std::string_view key : keys) {
    if (find(key)) warn(key, why);
  }
}

void Object::accept(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) find(key);
}

void Object::warn(std::string_view key, std::string_view message) {
  const auto index = indexOf(key);
  warnings_->push_back(Warning{index ? placeOf(*index) : place_, std::string(message)});
}

void Object::finish() {
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (!seen_[i]) warnings_->push_back(Warning{placeOf(i), "is not a field known here, and has no effect"});
  }
}

}  // namespace berth::manifest
