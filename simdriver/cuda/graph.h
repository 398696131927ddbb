// Graphs: nodes with dependencies, built by calls or by capturing a stream, and replayed. A launched graph
// runs its nodes one after the other in the launching stream, in an order that respects the dependencies:
// branches cost their sum, not their longest.
#pragma once

#include <memory>
#include <vector>

#include "driver.h"

namespace berth::sim::cu {

inline constexpr std::size_t kMaxGraphDepth = 32;  // Of graphs as nodes of graphs

/// The nodes so that each comes after those it depends on; empty when they form a circle.
std::vector<std::shared_ptr<GraphNode>> orderOf(Graph& graph);
/// The same for a list of nodes.
std::vector<std::shared_ptr<GraphNode>> inOrder(const std::vector<std::shared_ptr<GraphNode>>& nodes);

/// Adds a node. The caller made sure that `after` belongs to the graph.
std::shared_ptr<GraphNode> addNode(Driver& driver, const std::shared_ptr<Graph>& graph, Operation operation,
                                   std::vector<std::shared_ptr<GraphNode>> after);
std::shared_ptr<Graph> makeGraph(Driver& driver);
/// A deep copy with handles of its own.
std::shared_ptr<Graph> cloneGraph(Driver& driver, Graph& original);
/// Takes the graph and its nodes out of the tables.
void forgetGraph(Driver& driver, Graph& graph);

/// Adds the operation to the graph that the stream is captured into. The caller holds the stream's lock.
CUresult captureOperation(Driver& driver, Stream& stream, Operation operation);

/// Runs nodes in order. The caller holds the stream's lock.
CUresult performNodes(Driver& driver, Context& context, Stream& stream,
                      const std::vector<std::shared_ptr<GraphNode>>& nodes);

}  // namespace berth::sim::cu
