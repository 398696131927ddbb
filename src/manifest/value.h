// Reading a Node as what it ought to be: typed getters whose errors name the place, and objects that remember
// which of their fields were read, so that none is dropped silently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "manifest/node.h"
#include "manifest/workload.h"

namespace berth::manifest {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A node and its place. Does not own the node: it ends before the document does.
class Value {
 public:
  Value(const Node& node, Place place) : node_(&node), place_(std::move(place)) {}

  const Node& node() const { return *node_; }
  const Place& place() const { return place_; }
  bool isNull() const { return node_->type == NodeType::Null; }

  Result<std::string> text() const;
  Result<bool> boolean() const;
  /// A whole number from `min` to `max`.
  Result<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
  /// A text or a number as it was written; what Kubernetes' quantities may be.
  Result<std::string> textOrNumber() const;
  Result<std::vector<Value>> list() const;
  Result<std::vector<std::string>> texts() const;
  /// A map's entries, nulls included.
  Result<std::vector<std::pair<std::string, Value>>> entries() const;
  /// A map of texts.
  Result<Pairs> pairs() const;

  tl::unexpected<Error> invalid(const std::string& cause, std::string_view reason = {}) const;

 private:
  tl::unexpected<Error> wrongType(std::string_view wanted) const;

  const Node* node_;
  Place place_;
};

/// The place of a field or an item below `place`.
Place below(const Place& place, std::string_view key, Position position);
Place item(const Place& place, std::size_t index, Position position);

enum class Keys : std::uint8_t { Exact, AnyCase };

/// A map whose fields have meanings. A null field counts as absent, as it does for Kubernetes.
class Object {
 public:
  static Result<Object> of(const Value& value, std::vector<Warning>& warnings, Keys keys = Keys::Exact);

  const Place& place() const { return place_; }

  std::optional<Value> find(std::string_view key);
  Result<Value> require(std::string_view key);
  Result<std::string> text(std::string_view key, std::string_view fallback = {});
  Result<bool> boolean(std::string_view key, bool fallback = false);
  Result<std::int64_t> integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                               std::int64_t max = std::numeric_limits<std::int32_t>::max());
  Result<std::vector<Value>> list(std::string_view key);

  /// Fields that are right but change nothing here: a warning for each that is there.
  void noEffect(std::initializer_list<std::string_view> keys, std::string_view why = "has no effect here");
  /// Fields that change nothing and need no word.
  void accept(std::initializer_list<std::string_view> keys);
  void warn(std::string_view key, std::string_view message);
  /// After the last read: a warning for each field nobody asked for.
  void finish();

 private:
  Object(const Node& node, Place place, std::vector<Warning>& warnings, Keys keys)
      : node_(&node),
        place_(std::move(place)),
        warnings_(&warnings),
        keys_(keys),
        seen_(node.entries.size()) {}

  std::optional<std::size_t> indexOf(std::string_view key) const;
  Place placeOf(std::size_t index) const;

  const Node* node_;
  Place place_;
  std::vector<Warning>* warnings_;
  Keys keys_;
  std::vector<bool> seen_;
};

}  // namespace berth::manifest
