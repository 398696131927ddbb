// A document as plain values: what the YAML and the JSON adapter both make, so that the readers of Kubernetes
// and IoT Edge objects know neither library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::manifest {

struct Position {
  int line = 0;    // From 1; 0: unknown.
  int column = 0;  // From 1; 0: unknown.
};

enum class NodeType : std::uint8_t { Null, Bool, Number, Text, List, Map };

/// "a number", for messages.
std::string_view describe(NodeType type);

struct Entry;

struct Node {
  NodeType type = NodeType::Null;
  std::string text;  // Of a Bool, Number or Text: as written, after unquoting.
  Position position;
  std::vector<Node> items;     // Of a List.
  std::vector<Entry> entries;  // Of a Map, in the order of the file; keys differ.
};

struct Entry {
  std::string key;
  Position position;
  Node value;
};

/// The value of `key` in a Map; null when it has none.
const Node* find(const Node& map, std::string_view key);

}  // namespace berth::manifest
