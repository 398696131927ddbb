#include "manifest/tree_builder.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "manifest/failure.h"
#include "manifest/limits.h"

namespace berth::manifest {
namespace {

constexpr const char* kMergeKey = "<<";

std::string limitText(std::size_t limit) { return "the limit is " + std::to_string(limit); }

using Keys = std::set<std::string, std::less<>>;

void mergeMap(Node& into, Keys& keys, const Node& from) {
  for (const Entry& entry : from.entries) {
    if (keys.insert(entry.key).second) into.entries.push_back(entry);
  }
}

// `<<: *defaults` of YAML 1.1, which kubectl reads too: what the map itself says wins.
bool applyMerge(Node& map, Keys& keys) {
  Node merged = map;
  std::erase_if(merged.entries, [](const Entry& entry) { return entry.key == kMergeKey; });
  const Node* source = find(map, kMergeKey);
  if (source->type == NodeType::Map) {
    mergeMap(merged, keys, *source);
  } else if (source->type == NodeType::List) {
    for (const Node& item : source->items) {
      if (item.type != NodeType::Map) return false;
      mergeMap(merged, keys, item);
    }
  } else {
    return false;
  }
  map = std::move(merged);
  return true;
}

int depthOf(const Node& node) {
  int deepest = 0;
  for (const Node& item : node.items) deepest = std::max(deepest, depthOf(item));
  for (const Entry& entry : node.entries) deepest = std::max(deepest, depthOf(entry.value));
  return deepest + (node.type == NodeType::List || node.type == NodeType::Map ? 1 : 0);
}

}  // namespace

TreeBuilder::TreeBuilder(std::string file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {}

void TreeBuilder::nextDocument(std::string path) {
  path_ = std::move(path);
  open_.clear();
  anchors_.clear();
  root_ = Node{};
}

Node TreeBuilder::takeRoot() { return std::exchange(root_, Node{}); }

Place TreeBuilder::place(Position position) const {
  std::string path = path_;
  for (const Open& open : open_) {
    if (open.node.type == NodeType::List) {
      path += "[" + std::to_string(open.node.items.size()) + "]";
    } else if (open.has_key) {
      if (!path.empty()) path += ".";
      path += open.node.entries.back().key;
    }
  }
  return Place{file_, position.line, position.column, std::move(path)};
}

bool TreeBuilder::wantsKey() const {
  return !open_.empty() && open_.back().node.type == NodeType::Map && !open_.back().has_key;
}

TreeBuilder::Size TreeBuilder::sizeOf(const Node& node) {
  Size size{1, node.text.size()};
  for (const Node& item : node.items) {
    const Size inner = sizeOf(item);
    size.nodes += inner.nodes;
    size.bytes += inner.bytes;
  }
  for (const Entry& entry : node.entries) {
    const Size inner = sizeOf(entry.value);
    size.nodes += inner.nodes;
    size.bytes += inner.bytes + entry.key.size();
  }
  return size;
}

Result<void> TreeBuilder::count(Size size, Position position) {
  total_.nodes += size.nodes;
  total_.bytes += size.bytes;
  if (total_.nodes > kMaxNodes) {
    return invalid(place(position), "too many values, aliases written out; " + limitText(kMaxNodes),
                   kInputTooLarge);
  }
  if (total_.bytes > kMaxTextBytes) {
    return invalid(place(position),
                   "too much text, aliases written out; " + limitText(kMaxTextBytes) + " bytes",
                   kInputTooLarge);
  }
  return {};
}

Result<void> TreeBuilder::key(std::string text, Position position) {
  if (text.size() > kMaxKeyBytes) {
    return invalid(place(position), "a key is too long; " + limitText(kMaxKeyBytes) + " bytes",
                   kInputTooLarge);
  }
  if (text.find('\0') != std::string::npos) return invalid(place(position), "a key contains a NUL character");
  TRY_VOID(count({0, text.size()}, position));
  Open& map = open_.back();
  if (!map.keys.insert(text).second) {
    const auto& entries = map.node.entries;
    int first = 0;
    for (const Entry& entry : entries) {
      if (entry.key == text) first = entry.position.line;
    }
    return invalid(place(position), "the key " + quoted(text) + " is there twice; the first is on line " +
                                        std::to_string(first));
  }
  map.node.entries.push_back(Entry{std::move(text), position, {}});
  map.has_key = true;
  return {};
}

Result<void> TreeBuilder::scalar(NodeType type, std::string text, Position position, Anchor anchor) {
  if (wantsKey()) {
    if (type == NodeType::Null) return invalid(place(position), "a key is missing before \":\"");
    if (anchor != 0) return invalid(place(position), "an anchor on a key is not read here");
    return key(std::move(text), position);
  }
  if (text.size() > kMaxScalarBytes) {
    return invalid(place(position), "a value is too long; " + limitText(kMaxScalarBytes) + " bytes",
                   kInputTooLarge);
  }
  if (text.find('\0') != std::string::npos)
    return invalid(place(position), "a value contains a NUL character");
  TRY_VOID(count({1, text.size()}, position));
  return add(Node{type, std::move(text), position, {}, {}}, anchor);
}

Result<void> TreeBuilder::open(NodeType type, Position position, Anchor anchor) {
  if (wantsKey()) return invalid(place(position), "a key must be a text, not a list or a map");
  if (open_.size() >= static_cast<std::size_t>(kMaxDepth)) {
    return invalid(place(position), "nested too deeply; " + limitText(kMaxDepth), kInputTooLarge);
  }
  TRY_VOID(count({1, 0}, position));
  open_.push_back(Open{Node{type, {}, position, {}, {}}, anchor, {}, false});
  return {};
}

Result<void> TreeBuilder::beginList(Position position, Anchor anchor) {
  return open(NodeType::List, position, anchor);
}

Result<void> TreeBuilder::beginMap(Position position, Anchor anchor) {
  return open(NodeType::Map, position, anchor);
}

Result<void> TreeBuilder::end() {
  Open done = std::move(open_.back());
  open_.pop_back();
  if (done.keys.contains(kMergeKey) && !applyMerge(done.node, done.keys)) {
    return invalid(place(done.node.position), "\"<<\" must name a map or a list of maps");
  }
  return add(std::move(done.node), done.anchor);
}

Result<void> TreeBuilder::add(Node node, Anchor anchor) {
  if (anchor != 0) {
    const Size size = sizeOf(node);
    TRY_VOID(count(size, node.position));
    anchors_.insert_or_assign(anchor, Anchored{node, size});
  }
  if (open_.empty()) {
    root_ = std::move(node);
  } else if (open_.back().node.type == NodeType::List) {
    open_.back().node.items.push_back(std::move(node));
  } else {
    open_.back().node.entries.back().value = std::move(node);
    open_.back().has_key = false;
  }
  return {};
}

Result<void> TreeBuilder::alias(Anchor anchor, Position position) {
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) return invalid(place(position), "an alias stands inside what it names");
  if (wantsKey()) return invalid(place(position), "an alias as a key is not read here");
  if (static_cast<int>(open_.size()) + depthOf(found->second.node) > kMaxDepth) {
    return invalid(place(position), "nested too deeply; " + limitText(kMaxDepth), kInputTooLarge);
  }
  TRY_VOID(count(found->second.size, position));
  return add(found->second.node, 0);
}

}  // namespace berth::manifest
