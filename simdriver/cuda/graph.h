// Graphs: nodes with dependencies, built by calls or by capturing a stream, and replayed. A launched graph
// runs its nodes one after the other in the launching stream, in an order that respects the dependencies:
// branches cost their sum, not their longest.
#pragma once

#include <memory>
#include <vector>

#include "driver.h"

namespace berth::sim::cu {

/// Of graphs as nodes of graphs.
inline constexpr std::size_t kMaxGraphDepth = 32;
/// Nodes of a graph with those of the graphs in it; a doubling of a doubling must end somewhere.
inline constexpr std::size_t kMaxGraphNodes = std::size_t{1} << 17;

using Nodes = std::vector<std::shared_ptr<GraphNode>>;

/// The nodes so that each comes after those it depends on; empty when they form a circle.
Nodes orderOf(Graph& graph);
/// The same for a list of nodes.
Nodes inOrder(const Nodes& nodes);

/// What a graph holds, counted through its child graphs.
struct GraphSize {
  std::size_t nodes = 0;
  std::size_t depth = 0;
  bool circular = false;    // In the graph or in one inside of it
  bool has_memory = false;  // Nodes that allocate or free, which cannot be copied
};
/// Whether it may be copied, made ready to launch or put into another graph.
bool launchable(const GraphSize& size);
GraphSize sizeOf(Graph& graph);

/// Adds a node. The caller made sure that `after` belongs to the graph.
std::shared_ptr<GraphNode> addNode(Driver& driver, const std::shared_ptr<Graph>& graph, Operation operation,
                                   Nodes after);
std::shared_ptr<Graph> makeGraph(Driver& driver);
/// A deep copy with handles of its own, or null when the nodes form a circle.
std::shared_ptr<Graph> cloneGraph(Driver& driver, Graph& original);
/// Deep copies of ordered nodes without handles; each knows its origin.
Nodes detachedCopies(const Nodes& ordered);
/// Takes the graph and its nodes out of the tables.
void forgetGraph(Driver& driver, Graph& graph);

/// Adds the operation to the graph that the stream is captured into. The caller holds the stream's lock.
CUresult captureOperation(Driver& driver, Stream& stream, Operation operation);

/// Runs nodes in order. The caller holds the stream's lock.
CUresult performNodes(Driver& driver, Context& context, Stream& stream, const Nodes& nodes);

CUgraphNodeType typeOf(const Operation& operation);

/// Gives up references; calls the object's function with the last of them.
void releaseUserObject(UserObject& object, std::uint64_t references);

// Operations from the parameters a program states, checked.
CUresult kernelOperation(Driver& driver, const std::shared_ptr<Context>& context,
                         const CUDA_KERNEL_NODE_PARAMS& params, CUkernel kernel, Operation& operation);
CUresult copyOperation(Driver& driver, const CUDA_MEMCPY3D* params, Operation& operation);
CUresult fillOperation(Driver& driver, const CUDA_MEMSET_NODE_PARAMS* params, Operation& operation);
CUresult hostOperation(const CUDA_HOST_NODE_PARAMS* params, Operation& operation);

}  // namespace berth::sim::cu
