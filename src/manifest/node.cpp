#include "manifest/node.h"

namespace berth::manifest {

std::string_view describe(NodeType type) {
  switch (type) {
    case NodeType::Null:
      return "nothing";
    case NodeType::Bool:
      return "a boolean";
    case NodeType::Number:
      return "a number";
    case NodeType::Text:
      return "a text";
    case NodeType::List:
      return "a list";
    case NodeType::Map:
      return "a map";
  }
  return "nothing";
}

const Node* find(const Node& map, std::string_view key) {
  for (const Entry& entry : map.entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

}  // namespace berth::manifest
