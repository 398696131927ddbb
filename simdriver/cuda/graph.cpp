#include "graph.h"

#include <algorithm>
#include <unordered_map>

#include "entry.h"

namespace berth::sim::cu {
namespace {

/// Counts until a limit is passed; then the figures are only known to be too large.
void countInto(Graph& graph, std::size_t depth, GraphSize& size) {
  size.depth = std::max(size.depth, depth);
  Nodes nodes;
  {
    const std::lock_guard lock(graph.mutex);
    nodes = graph.nodes;
    if (inOrder(nodes).size() != nodes.size()) size.circular = true;
  }
  size.nodes += nodes.size();
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    if (size.depth > kMaxGraphDepth || size.nodes > kMaxGraphNodes) return;
    if (std::holds_alternative<MemAlloc>(node->operation) || std::holds_alternative<MemFree>(node->operation))
      size.has_memory = true;
    if (const auto* child = std::get_if<ChildGraph>(&node->operation))
      countInto(*child->graph, depth + 1, size);
  }
}

/// A graph without a handle: what a node of an executable graph runs.
std::shared_ptr<Graph> detachedClone(Graph& original) {
  auto copy = std::make_shared<Graph>();
  copy->nodes = detachedCopies(orderOf(original));
  return copy;
}

}  // namespace

Nodes inOrder(const Nodes& nodes) {
  std::unordered_map<const GraphNode*, std::size_t> missing;
  std::unordered_map<const GraphNode*, Nodes> followers;
  Nodes ordered;
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    missing[node.get()] = node->after.size();
    for (const std::shared_ptr<GraphNode>& before : node->after) followers[before.get()].push_back(node);
    if (node->after.empty()) ordered.push_back(node);
  }
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (const std::shared_ptr<GraphNode>& follower : followers[ordered[i].get()]) {
      if (--missing[follower.get()] == 0) ordered.push_back(follower);
    }
  }
  if (ordered.size() != nodes.size()) ordered.clear();
  return ordered;
}

Nodes orderOf(Graph& graph) {
  const std::lock_guard lock(graph.mutex);
  return inOrder(graph.nodes);
}

GraphSize sizeOf(Graph& graph) {
  GraphSize size;
  countInto(graph, 1, size);
  return size;
}

bool launchable(const GraphSize& size) {
  return !size.circular && size.depth <= kMaxGraphDepth && size.nodes <= kMaxGraphNodes;
}

std::shared_ptr<Graph> makeGraph(Driver& driver) {
  auto graph = std::make_shared<Graph>();
  graph->handle = driver.graphs.add(graph);
  return graph;
}

std::shared_ptr<GraphNode> addNode(Driver& driver, const std::shared_ptr<Graph>& graph, Operation operation,
                                   Nodes after) {
  auto node = std::make_shared<GraphNode>();
  node->graph = graph;
  node->operation = std::move(operation);
  node->after = std::move(after);
  node->handle = driver.graph_nodes.add(node);
  const std::lock_guard lock(graph->mutex);
  graph->nodes.push_back(node);
  return node;
}

std::shared_ptr<Graph> cloneGraph(Driver& driver, Graph& original) {
  const Nodes nodes = orderOf(original);
  {
    const std::lock_guard lock(original.mutex);
    if (nodes.size() != original.nodes.size()) return nullptr;
  }
  std::shared_ptr<Graph> copy = makeGraph(driver);
  std::unordered_map<const GraphNode*, std::shared_ptr<GraphNode>> copies;
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    Nodes after;
    for (const std::shared_ptr<GraphNode>& before : node->after) after.push_back(copies.at(before.get()));
    Operation operation = node->operation;
    if (auto* child = std::get_if<ChildGraph>(&operation)) {
      child->graph = cloneGraph(driver, *child->graph);
      if (!child->graph) {
        forgetGraph(driver, *copy);
        return nullptr;
      }
      child->graph->owned = true;
    }
    std::shared_ptr<GraphNode> made = addNode(driver, copy, std::move(operation), std::move(after));
    made->origin = node->handle;
    copies[node.get()] = std::move(made);
  }
  return copy;
}

Nodes detachedCopies(const Nodes& ordered) {
  std::unordered_map<const GraphNode*, std::shared_ptr<GraphNode>> copies;
  Nodes made;
  for (const std::shared_ptr<GraphNode>& node : ordered) {
    auto copy = std::make_shared<GraphNode>();
    copy->origin = node->handle;
    copy->operation = node->operation;
    copy->enabled = node->enabled;
    if (auto* child = std::get_if<ChildGraph>(&copy->operation)) child->graph = detachedClone(*child->graph);
    for (const std::shared_ptr<GraphNode>& before : node->after)
      copy->after.push_back(copies.at(before.get()));
    copies[node.get()] = copy;
    made.push_back(std::move(copy));
  }
  return made;
}

void forgetGraph(Driver& driver, Graph& graph) {
  Nodes nodes;
  {
    const std::lock_guard lock(graph.mutex);
    nodes = graph.nodes;
  }
  driver.graphs.take(graph.handle);
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    driver.graph_nodes.take(node->handle);
    if (const auto* child = std::get_if<ChildGraph>(&node->operation)) forgetGraph(driver, *child->graph);
  }
}

CUresult captureOperation(Driver& driver, Stream& stream, Operation operation) {
  const std::lock_guard lock(stream.capture->mutex);
  if (stream.capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (auto* record = std::get_if<RecordEvent>(&operation); record != nullptr && !record->external) {
    // Recording in a capture marks a place in the graph; it is not a node.
    const std::lock_guard event_lock(record->event->mutex);
    record->event->recorded = false;
    record->event->capture = stream.capture;
    record->event->captured_after = stream.capture_tail;
    return CUDA_SUCCESS;
  }
  stream.capture_tail = {addNode(driver, stream.capture->graph, std::move(operation), stream.capture_tail)};
  return CUDA_SUCCESS;
}

CUgraphNodeType typeOf(const Operation& operation) {
  constexpr CUgraphNodeType kTypes[] = {
      CU_GRAPH_NODE_TYPE_EMPTY,      CU_GRAPH_NODE_TYPE_KERNEL, CU_GRAPH_NODE_TYPE_MEMCPY,
      CU_GRAPH_NODE_TYPE_MEMSET,     CU_GRAPH_NODE_TYPE_HOST,   CU_GRAPH_NODE_TYPE_EVENT_RECORD,
      CU_GRAPH_NODE_TYPE_WAIT_EVENT, CU_GRAPH_NODE_TYPE_GRAPH,  CU_GRAPH_NODE_TYPE_MEM_ALLOC,
      CU_GRAPH_NODE_TYPE_MEM_FREE,
  };
  static_assert(std::variant_size_v<Operation> == std::size(kTypes));
  return kTypes[operation.index()];
}

void releaseUserObject(UserObject& object, std::uint64_t references) {
  {
    const std::lock_guard lock(object.mutex);
    object.references -= std::min(references, object.references);
    if (object.references != 0) return;
  }
  object.destroy(object.object);
}

}  // namespace berth::sim::cu
