#include "graph.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace berth::sim::cu {

std::vector<std::shared_ptr<GraphNode>> inOrder(const std::vector<std::shared_ptr<GraphNode>>& nodes) {
  std::unordered_map<const GraphNode*, std::size_t> missing;
  std::unordered_map<const GraphNode*, std::vector<std::shared_ptr<GraphNode>>> followers;
  std::vector<std::shared_ptr<GraphNode>> ordered;
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

std::vector<std::shared_ptr<GraphNode>> orderOf(Graph& graph) {
  const std::lock_guard lock(graph.mutex);
  return inOrder(graph.nodes);
}

std::shared_ptr<Graph> makeGraph(Driver& driver) {
  auto graph = std::make_shared<Graph>();
  graph->handle = driver.graphs.add(graph);
  return graph;
}

std::shared_ptr<GraphNode> addNode(Driver& driver, const std::shared_ptr<Graph>& graph, Operation operation,
                                   std::vector<std::shared_ptr<GraphNode>> after) {
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
  std::shared_ptr<Graph> copy = makeGraph(driver);
  std::unordered_map<const GraphNode*, std::shared_ptr<GraphNode>> copies;
  const std::vector<std::shared_ptr<GraphNode>> nodes = orderOf(original);
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    std::vector<std::shared_ptr<GraphNode>> after;
    for (const std::shared_ptr<GraphNode>& before : node->after) after.push_back(copies.at(before.get()));
    copies[node.get()] = addNode(driver, copy, node->operation, std::move(after));
  }
  return copy;
}

void forgetGraph(Driver& driver, Graph& graph) {
  std::vector<std::shared_ptr<GraphNode>> nodes;
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
  if (auto* record = std::get_if<RecordEvent>(&operation)) {
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

}  // namespace berth::sim::cu
