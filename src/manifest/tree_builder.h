// Builds a Node from a parser's events and keeps the limits while it does: what is too deep, too large or
// names a key twice ends there, before the parser goes on. Aliases are written out here, each copy counted
// before it is made, so that a small file of nested aliases cannot grow.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "manifest/node.h"
#include "manifest/workload.h"

namespace berth::manifest {

class TreeBuilder {
 public:
  /// Places in errors are in `file`, below `path`.
  TreeBuilder(std::string file, std::string path);

  /// An anchor of 0 is none.
  using Anchor = std::size_t;

  Result<void> scalar(NodeType type, std::string text, Position position, Anchor anchor = 0);
  Result<void> beginList(Position position, Anchor anchor = 0);
  Result<void> beginMap(Position position, Anchor anchor = 0);
  /// Of the innermost list or map.
  Result<void> end();
  /// A map's next key, where the parser tells keys from values (JSON). Otherwise a scalar in a key's place is
  /// one.
  Result<void> key(std::string text, Position position);
  Result<void> alias(Anchor anchor, Position position);

  /// Begins the next document: the counts go on, anchors end.
  void nextDocument(std::string path);
  Node takeRoot();

  /// Where the next node would stand.
  Place place(Position position) const;

 private:
  struct Open {
    Node node;
    Anchor anchor = 0;
    std::set<std::string, std::less<>> keys;
    bool has_key = false;
  };
  struct Size {
    std::size_t nodes = 0;
    std::size_t bytes = 0;
  };
  struct Anchored {
    Node node;
    Size size;
  };

  static Size sizeOf(const Node& node);
  Result<void> open(NodeType type, Position position, Anchor anchor);
  Result<void> add(Node node, Anchor anchor);
  Result<void> count(Size size, Position position);
  bool wantsKey() const;

  std::string file_;
  std::string path_;
  std::vector<Open> open_;
  std::map<Anchor, Anchored> anchors_;
  Node root_;
  Size total_;
};

}  // namespace berth::manifest
