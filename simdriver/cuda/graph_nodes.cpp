// Graphs built by calls: their nodes, what the nodes do and what they wait for.
#include <algorithm>
#include <cstdio>

#include "copy.h"
#include "cuda_api.h"
#include "entry.h"
#include "graph.h"
#include "graph_memory.h"
#include "launch.h"

namespace berth::sim::cu {
namespace {

template <typename Fn>
CUresult onGraph(CUgraph handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(handle));
    return graph ? fn(driver, graph) : CUDA_ERROR_INVALID_VALUE;
  });
}

/// fn(Driver&, node, its graph).
template <typename Fn>
CUresult onNode(CUgraphNode handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<GraphNode> node = driver.graph_nodes.find(numberOf(handle));
    const std::shared_ptr<Graph> graph = node ? node->graph.lock() : nullptr;
    return graph ? fn(driver, node, graph) : CUDA_ERROR_INVALID_VALUE;
  });
}

/// fn(node, operation) with the operation of the kind `Kind`, under the graph's lock.
template <typename Kind, typename Fn>
CUresult onOperation(CUgraphNode handle, Fn&& fn) noexcept {
  return onNode(
      handle,
      [&](Driver&, const std::shared_ptr<GraphNode>& node, const std::shared_ptr<Graph>& graph) -> CUresult {
        const std::lock_guard lock(graph->mutex);
        auto* operation = std::get_if<Kind>(&node->operation);
        return operation != nullptr ? fn(*operation) : CUDA_ERROR_INVALID_VALUE;
      });
}

/// Replaces a node's operation by one of the same kind.
CUresult replace(CUgraphNode handle, Operation operation) {
  return onNode(
      handle,
      [&](Driver&, const std::shared_ptr<GraphNode>& node, const std::shared_ptr<Graph>& graph) -> CUresult {
        const std::lock_guard lock(graph->mutex);
        if (node->operation.index() != operation.index()) return CUDA_ERROR_INVALID_VALUE;
        node->operation = std::move(operation);
        return CUDA_SUCCESS;
      });
}

/// The nodes behind handles, which must be distinct nodes of `graph`.
CUresult nodesOf(Driver& driver, const std::shared_ptr<Graph>& graph, const CUgraphNode* handles,
                 std::size_t count, Nodes& nodes) {
  if (handles == nullptr && count != 0) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    std::shared_ptr<GraphNode> node = driver.graph_nodes.find(numberOf(handles[i]));
    if (!node || node->graph.lock() != graph) return CUDA_ERROR_INVALID_VALUE;
    if (std::ranges::find(nodes, node) != nodes.end()) return CUDA_ERROR_INVALID_VALUE;
    nodes.push_back(std::move(node));
  }
  return CUDA_SUCCESS;
}

/// Where and behind what a node is added.
struct Place {
  CUgraphNode* out;
  CUgraph graph;
  const CUgraphNode* after;
  std::size_t count;
};

/// make(Driver&, Operation&) says what the node does.
template <typename Make>
CUresult add(const Place& place, Make&& make) noexcept {
  return onGraph(place.graph, [&](Driver& driver, const std::shared_ptr<Graph>& graph) -> CUresult {
    if (place.out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Nodes after;
    Operation operation;
    if (const CUresult result = nodesOf(driver, graph, place.after, place.count, after);
        result != CUDA_SUCCESS)
      return result;
    if (const CUresult result = make(driver, operation); result != CUDA_SUCCESS) return result;
    *place.out =
        handleOf<CUgraphNode>(addNode(driver, graph, std::move(operation), std::move(after))->handle);
    return CUDA_SUCCESS;
  });
}

/// A kernel node's parameters need the context whose device they are checked against.
CUresult addKernel(const Place& place, const CUDA_KERNEL_NODE_PARAMS* params, CUkernel kernel) {
  return inContext([&](Driver&, const std::shared_ptr<Context>& context) {
    return add(place, [&](Driver& driver, Operation& operation) {
      return params == nullptr ? CUDA_ERROR_INVALID_VALUE
                               : kernelOperation(driver, context, *params, kernel, operation);
    });
  });
}

CUresult childOperation(Driver& driver, CUgraph handle, Operation& operation) {
  const std::shared_ptr<Graph> child = driver.graphs.find(numberOf(handle));
  if (!child) return CUDA_ERROR_INVALID_VALUE;
  const GraphSize size = sizeOf(*child);
  if (!launchable(size)) return CUDA_ERROR_INVALID_VALUE;
  if (size.has_memory) return CUDA_ERROR_NOT_SUPPORTED;
  std::shared_ptr<Graph> copy = cloneGraph(driver, *child);
  if (!copy) return CUDA_ERROR_INVALID_VALUE;
  copy->owned = true;
  const std::uintptr_t number = copy->handle;
  operation = ChildGraph{std::move(copy), number};
  return CUDA_SUCCESS;
}

CUresult addChild(const Place& place, CUgraph handle) {
  return onGraph(place.graph, [&](Driver& driver, const std::shared_ptr<Graph>& graph) -> CUresult {
    const std::shared_ptr<Graph> child = driver.graphs.find(numberOf(handle));
    if (!child) return CUDA_ERROR_INVALID_VALUE;
    const std::size_t nodes = sizeOf(*graph).nodes + sizeOf(*child).nodes;
    if (nodes > kMaxGraphNodes) return CUDA_ERROR_OUT_OF_MEMORY;
    return add(place,
               [&](Driver&, Operation& operation) { return childOperation(driver, handle, operation); });
  });
}

template <typename Kind>
CUresult eventOperation(Driver& driver, CUevent handle, Operation& operation) {
  const std::shared_ptr<Event> event = driver.events.find(numberOf(handle));
  if (!event) return CUDA_ERROR_INVALID_HANDLE;
  operation = Kind{event, numberOf(handle)};
  return CUDA_SUCCESS;
}

template <typename Kind>
CUresult setEvent(CUgraphNode node, CUevent event) {
  return initialised([&](Driver& driver) -> CUresult {
    Operation operation;
    const CUresult result = eventOperation<Kind>(driver, event, operation);
    return result == CUDA_SUCCESS ? replace(node, std::move(operation)) : result;
  });
}

template <typename Kind>
CUresult getEvent(CUgraphNode node, CUevent* event) {
  return onOperation<Kind>(node, [&](const Kind& operation) -> CUresult {
    if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *event = handleOf<CUevent>(operation.handle);
    return CUDA_SUCCESS;
  });
}

CUresult addByType(const Place& place, const CUgraphNodeParams* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return addKernel(place, &params->kernel.base, params->kernel.kern);
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return addChild(place, params->graph.graph);
    default:
      break;
  }
  return add(place, [&](Driver& driver, Operation& operation) -> CUresult {
    switch (params->type) {
      case CU_GRAPH_NODE_TYPE_MEMCPY:
        return copyOperation(driver, &params->memcpy.copyParams, operation);
      case CU_GRAPH_NODE_TYPE_MEMSET:
        return fillOperation(driver, &params->memset, operation);
      case CU_GRAPH_NODE_TYPE_HOST:
        return hostOperation(&params->host, operation);
      case CU_GRAPH_NODE_TYPE_EMPTY:
        return CUDA_SUCCESS;
      case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return eventOperation<AwaitEvent>(driver, params->event.event, operation);
      case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return eventOperation<RecordEvent>(driver, params->event.event, operation);
      default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
  });
}

/// The API's way to give a list: its length when `out` is null, else as much as fits, filled up with null.
template <typename Handle>
CUresult giveList(const std::vector<Handle>& values, Handle* out, std::size_t* count) {
  if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (out != nullptr) {
    for (std::size_t i = 0; i < *count; ++i) out[i] = i < values.size() ? values[i] : nullptr;
  }
  *count = values.size();
  return CUDA_SUCCESS;
}

std::vector<CUgraphNode> handlesOf(const Nodes& nodes) {
  std::vector<CUgraphNode> handles;
  for (const std::shared_ptr<GraphNode>& node : nodes) handles.push_back(handleOf<CUgraphNode>(node->handle));
  return handles;
}

CUresult giveNodes(CUgraph handle, CUgraphNode* out, std::size_t* count, bool roots_only) {
  return onGraph(handle, [&](Driver&, const std::shared_ptr<Graph>& graph) -> CUresult {
    Nodes nodes;
    {
      const std::lock_guard lock(graph->mutex);
      nodes = graph->nodes;
      if (roots_only) std::erase_if(nodes, [](const auto& node) { return !node->after.empty(); });
    }
    return giveList(handlesOf(nodes), out, count);
  });
}

CUresult giveDependencies(CUgraphNode handle, CUgraphNode* out, std::size_t* count) {
  return onNode(
      handle,
      [&](Driver&, const std::shared_ptr<GraphNode>& node, const std::shared_ptr<Graph>& graph) -> CUresult {
        const std::lock_guard lock(graph->mutex);
        return giveList(handlesOf(node->after), out, count);
      });
}

CUresult giveDependents(CUgraphNode handle, CUgraphNode* out, std::size_t* count) {
  return onNode(
      handle,
      [&](Driver&, const std::shared_ptr<GraphNode>& node, const std::shared_ptr<Graph>& graph) -> CUresult {
        const std::lock_guard lock(graph->mutex);
        Nodes dependents;
        for (const std::shared_ptr<GraphNode>& other : graph->nodes) {
          if (std::ranges::find(other->after, node) != other->after.end()) dependents.push_back(other);
        }
        return giveList(handlesOf(dependents), out, count);
      });
}

CUresult giveEdges(CUgraph handle, CUgraphNode* from, CUgraphNode* to, std::size_t* count) {
  return onGraph(handle, [&](Driver&, const std::shared_ptr<Graph>& graph) -> CUresult {
    if (count == nullptr || (from == nullptr) != (to == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    std::vector<CUgraphNode> sources;
    std::vector<CUgraphNode> targets;
    const std::lock_guard lock(graph->mutex);
    for (const std::shared_ptr<GraphNode>& node : graph->nodes) {
      for (const std::shared_ptr<GraphNode>& before : node->after) {
        sources.push_back(handleOf<CUgraphNode>(before->handle));
        targets.push_back(handleOf<CUgraphNode>(node->handle));
      }
    }
    std::size_t room = *count;
    static_cast<void>(giveList(sources, from, &room));
    return giveList(targets, to, count);
  });
}

/// change(node, before) for each pair, after all of them were checked.
template <typename Check, typename Change>
CUresult onPairs(CUgraph handle, const CUgraphNode* from, const CUgraphNode* to, std::size_t count,
                 Check&& check, Change&& change) noexcept {
  return onGraph(handle, [&](Driver& driver, const std::shared_ptr<Graph>& graph) -> CUresult {
    if (count != 0 && (from == nullptr || to == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(graph->mutex);
    std::vector<std::pair<std::shared_ptr<GraphNode>, std::shared_ptr<GraphNode>>> pairs;
    for (std::size_t i = 0; i < count; ++i) {
      std::shared_ptr<GraphNode> before = driver.graph_nodes.find(numberOf(from[i]));
      std::shared_ptr<GraphNode> node = driver.graph_nodes.find(numberOf(to[i]));
      if (!before || !node || before == node) return CUDA_ERROR_INVALID_VALUE;
      if (before->graph.lock() != graph || node->graph.lock() != graph) return CUDA_ERROR_INVALID_VALUE;
      const bool there = std::ranges::find(node->after, before) != node->after.end();
      if (!check(there)) return CUDA_ERROR_INVALID_VALUE;
      pairs.emplace_back(std::move(before), std::move(node));
    }
    for (const auto& [before, node] : pairs) change(*node, before);
    return CUDA_SUCCESS;
  });
}

CUresult addDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to, std::size_t count) {
  return onPairs(
      graph, from, to, count, [](bool there) { return !there; },
      [](GraphNode& node, const std::shared_ptr<GraphNode>& before) {
        if (std::ranges::find(node.after, before) == node.after.end()) node.after.push_back(before);
      });
}

CUresult removeDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                            std::size_t count) {
  return onPairs(
      graph, from, to, count, [](bool there) { return there; },
      [](GraphNode& node, const std::shared_ptr<GraphNode>& before) { std::erase(node.after, before); });
}

CUresult getKernelParams(CUgraphNode handle, CUDA_KERNEL_NODE_PARAMS* out) {
  return onOperation<KernelLaunch>(handle, [&](KernelLaunch& launch) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    launch.argument_pointers.clear();
    for (const PtxParameter& parameter : launch.function->kernel.parameters)
      launch.argument_pointers.push_back(launch.arguments.data() + parameter.offset);
    *out = {handleOf<CUfunction>(launch.function->handle),
            launch.grid[0],
            launch.grid[1],
            launch.grid[2],
            launch.block[0],
            launch.block[1],
            launch.block[2],
            launch.shared_bytes,
            launch.argument_pointers.data(),
            nullptr};
    return CUDA_SUCCESS;
  });
}

CUresult setKernelParams(CUgraphNode handle, const CUDA_KERNEL_NODE_PARAMS* params, CUkernel kernel) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Operation operation;
    const CUresult result = kernelOperation(driver, context, *params, kernel, operation);
    return result == CUDA_SUCCESS ? replace(handle, std::move(operation)) : result;
  });
}

/// A word of a graph in the DOT language.
const char* nameOf(CUgraphNodeType type) {
  constexpr const char* kNames[] = {"kernel", "memcpy", "memset", "host", "graph", "empty", "wait", "record"};
  return type < std::size(kNames) ? kNames[type] : "node";
}

void printDot(std::FILE* file, const Graph& graph) {
  std::fputs("digraph {\n", file);
  for (const std::shared_ptr<GraphNode>& node : graph.nodes) {
    std::fprintf(file, "  n%zx [label=\"%s\"]\n", node->handle, nameOf(typeOf(node->operation)));
    for (const std::shared_ptr<GraphNode>& before : node->after)
      std::fprintf(file, "  n%zx -> n%zx\n", before->handle, node->handle);
  }
  std::fputs("}\n", file);
}

}  // namespace

CUresult kernelOperation(Driver& driver, const std::shared_ptr<Context>& context,
                         const CUDA_KERNEL_NODE_PARAMS& params, CUkernel kernel, Operation& operation) {
  const CUfunction function = params.func == nullptr ? handleOf<CUfunction>(numberOf(kernel)) : params.func;
  KernelLaunch launch;
  const CUresult result = makeLaunch(driver, context,
                                     {function,
                                      {params.gridDimX, params.gridDimY, params.gridDimZ},
                                      {params.blockDimX, params.blockDimY, params.blockDimZ},
                                      params.sharedMemBytes,
                                      params.kernelParams,
                                      params.extra,
                                      false},
                                     launch);
  if (result == CUDA_SUCCESS) operation = std::move(launch);
  return result;
}

CUresult copyOperation(Driver& driver, const CUDA_MEMCPY3D* params, Operation& operation) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  ResolvedCopy resolved;
  const CUresult result = resolveCopy(driver, *params, resolved);
  if (result == CUDA_SUCCESS) operation = Copy{*params};
  return result;
}

CUresult fillOperation(Driver& driver, const CUDA_MEMSET_NODE_PARAMS* params, Operation& operation) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = checkFill(driver, *params);
  if (result == CUDA_SUCCESS) operation = Fill{*params};
  return result;
}

CUresult hostOperation(const CUDA_HOST_NODE_PARAMS* params, Operation& operation) {
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  operation = HostFunction{*params};
  return CUDA_SUCCESS;
}

BERTH_CUDA_API cuGraphCreate(CUgraph* out, unsigned flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    *out = handleOf<CUgraph>(makeGraph(driver)->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphDestroy(CUgraph handle) {
  return onGraph(handle, [](Driver& driver, const std::shared_ptr<Graph>& graph) -> CUresult {
    if (graph->owned) return CUDA_ERROR_INVALID_VALUE;
    forgetGraph(driver, *graph);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphClone(CUgraph* out, CUgraph original) {
  return onGraph(original, [&](Driver& driver, const std::shared_ptr<Graph>& graph) -> CUresult {
    const GraphSize size = sizeOf(*graph);
    if (out == nullptr || !launchable(size)) return CUDA_ERROR_INVALID_VALUE;
    if (size.has_memory) return CUDA_ERROR_NOT_SUPPORTED;
    const std::shared_ptr<Graph> copy = cloneGraph(driver, *graph);
    if (!copy) return CUDA_ERROR_INVALID_VALUE;
    *out = handleOf<CUgraph>(copy->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphNodeFindInClone(CUgraphNode* out, CUgraphNode original, CUgraph clone) {
  return onGraph(clone, [&](Driver&, const std::shared_ptr<Graph>& graph) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(graph->mutex);
    for (const std::shared_ptr<GraphNode>& node : graph->nodes) {
      if (node->origin == 0 || node->origin != numberOf(original)) continue;
      *out = handleOf<CUgraphNode>(node->handle);
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

BERTH_CUDA_API cuGraphAddKernelNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                    std::size_t count, const CUDA_KERNEL_NODE_PARAMS* params) {
  return addKernel({out, graph, after, count}, params, nullptr);
}
BERTH_CUDA_API cuGraphAddKernelNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                       std::size_t count, const CUDA_KERNEL_NODE_PARAMS_v2* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return addKernel({out, graph, after, count}, &params->base, params->kern);
}
BERTH_CUDA_API cuGraphAddMemcpyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                    std::size_t count, const CUDA_MEMCPY3D* params, CUcontext) {
  return add({out, graph, after, count},
             [&](Driver& driver, Operation& operation) { return copyOperation(driver, params, operation); });
}
BERTH_CUDA_API cuGraphAddMemsetNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                    std::size_t count, const CUDA_MEMSET_NODE_PARAMS* params, CUcontext) {
  return add({out, graph, after, count},
             [&](Driver& driver, Operation& operation) { return fillOperation(driver, params, operation); });
}
BERTH_CUDA_API cuGraphAddHostNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                  std::size_t count, const CUDA_HOST_NODE_PARAMS* params) {
  return add({out, graph, after, count},
             [&](Driver&, Operation& operation) { return hostOperation(params, operation); });
}
BERTH_CUDA_API cuGraphAddEmptyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                   std::size_t count) {
  return add({out, graph, after, count}, [](Driver&, Operation&) { return CUDA_SUCCESS; });
}
BERTH_CUDA_API cuGraphAddChildGraphNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                        std::size_t count, CUgraph child) {
  return addChild({out, graph, after, count}, child);
}
BERTH_CUDA_API cuGraphAddEventRecordNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                         std::size_t count, CUevent event) {
  return add({out, graph, after, count}, [&](Driver& driver, Operation& operation) {
    return eventOperation<RecordEvent>(driver, event, operation);
  });
}
BERTH_CUDA_API cuGraphAddEventWaitNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                       std::size_t count, CUevent event) {
  return add({out, graph, after, count}, [&](Driver& driver, Operation& operation) {
    return eventOperation<AwaitEvent>(driver, event, operation);
  });
}
BERTH_CUDA_API cuGraphAddNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after, std::size_t count,
                              const CUgraphNodeParams* params) {
  return addByType({out, graph, after, count}, params);
}
// Edges with ports order parts of kernels; here every edge orders whole nodes, which is never too early.
BERTH_CUDA_API cuGraphAddNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                 const CUgraphEdgeData*, std::size_t count, const CUgraphNodeParams* params) {
  return addByType({out, graph, after, count}, params);
}

BERTH_CUDA_API cuGraphAddMemAllocNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                      std::size_t count, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  return initialised([&](Driver& driver) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult result = checkPool(driver, params->poolProps); result != CUDA_SUCCESS) return result;
    const std::shared_ptr<Context> context = driver.contextOn(params->poolProps.location.id);
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    return add({out, graph, after, count}, [&](Driver&, Operation& operation) -> CUresult {
      MemAlloc made;
      const CUresult result = makeGraphMemory(driver, context, params->bytesize, made);
      if (result != CUDA_SUCCESS) return result;
      params->dptr = devicePointer(made.memory->memory()->base);
      operation = std::move(made);
      return CUDA_SUCCESS;
    });
  });
}
BERTH_CUDA_API cuGraphAddMemFreeNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                     std::size_t count, CUdeviceptr pointer) {
  return add({out, graph, after, count}, [&](Driver& driver, Operation& operation) -> CUresult {
    std::shared_ptr<GraphMemory> memory = graphMemoryAt(driver, pointer);
    if (!memory) return CUDA_ERROR_INVALID_VALUE;
    operation = MemFree{std::move(memory)};
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  return onOperation<MemAlloc>(node, [&](const MemAlloc& operation) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const GraphMemory& memory = *operation.memory->memory();
    *params = {};
    params->poolProps.allocType = kMemAllocationPinned;
    params->poolProps.location = {kMemLocationDevice, memory.device};
    params->bytesize = memory.bytes;
    params->dptr = devicePointer(memory.base);
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr* pointer) {
  return onOperation<MemFree>(node, [&](const MemFree& operation) -> CUresult {
    if (pointer == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pointer = devicePointer(operation.memory->base);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphDestroyNode(CUgraphNode handle) {
  return onNode(handle,
                [](Driver& driver, const std::shared_ptr<GraphNode>& node,
                   const std::shared_ptr<Graph>& graph) -> CUresult {
                  {
                    const std::lock_guard lock(graph->mutex);
                    std::erase(graph->nodes, node);
                    for (const std::shared_ptr<GraphNode>& other : graph->nodes)
                      std::erase(other->after, node);
                    node->after.clear();
                  }
                  driver.graph_nodes.take(node->handle);
                  if (const auto* child = std::get_if<ChildGraph>(&node->operation))
                    forgetGraph(driver, *child->graph);
                  return CUDA_SUCCESS;
                });
}

BERTH_CUDA_API cuGraphNodeGetType(CUgraphNode handle, unsigned* type) {
  return onNode(
      handle,
      [&](Driver&, const std::shared_ptr<GraphNode>& node, const std::shared_ptr<Graph>& graph) -> CUresult {
        if (type == nullptr) return CUDA_ERROR_INVALID_VALUE;
        const std::lock_guard lock(graph->mutex);
        *type = typeOf(node->operation);
        return CUDA_SUCCESS;
      });
}

BERTH_CUDA_API cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph* graph) {
  return onOperation<ChildGraph>(node, [&](const ChildGraph& child) -> CUresult {
    if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *graph = handleOf<CUgraph>(child.graph->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* params) {
  return getKernelParams(node, params);
}
BERTH_CUDA_API cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v2* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  params->kern = nullptr;
  params->ctx = nullptr;
  return getKernelParams(node, &params->base);
}
BERTH_CUDA_API cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params) {
  return setKernelParams(node, params, nullptr);
}
BERTH_CUDA_API cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v2* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return setKernelParams(node, &params->base, params->kern);
}

BERTH_CUDA_API cuGraphKernelNodeGetAttribute(CUgraphNode node, unsigned attribute,
                                             CUlaunchAttributeValue* value) {
  return onOperation<KernelLaunch>(node, [&](const KernelLaunch& launch) -> CUresult {
    if (value == nullptr || attribute == 0 || attribute > kLaunchAttributeLast)
      return CUDA_ERROR_INVALID_VALUE;
    *value = {};
    if (attribute == kLaunchAttributeCooperative) value->cooperative = launch.cooperative ? 1 : 0;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphKernelNodeSetAttribute(CUgraphNode node, unsigned attribute,
                                             const CUlaunchAttributeValue* value) {
  return onOperation<KernelLaunch>(node, [&](KernelLaunch& launch) -> CUresult {
    if (value == nullptr || attribute == 0 || attribute > kLaunchAttributeLast)
      return CUDA_ERROR_INVALID_VALUE;
    // The others are hints, which change nothing here.
    if (attribute == kLaunchAttributeCooperative) launch.cooperative = value->cooperative != 0;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphKernelNodeCopyAttributes(CUgraphNode to, CUgraphNode from) {
  CUlaunchAttributeValue value{};
  const CUresult result = cuGraphKernelNodeGetAttribute(from, kLaunchAttributeCooperative, &value);
  if (result != CUDA_SUCCESS) return result;
  return cuGraphKernelNodeSetAttribute(to, kLaunchAttributeCooperative, &value);
}

BERTH_CUDA_API cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D* params) {
  return onOperation<Copy>(node, [&](const Copy& copy) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *params = copy.request;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* params) {
  return initialised([&](Driver& driver) -> CUresult {
    Operation operation;
    const CUresult result = copyOperation(driver, params, operation);
    return result == CUDA_SUCCESS ? replace(node, std::move(operation)) : result;
  });
}
BERTH_CUDA_API cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS* params) {
  return onOperation<Fill>(node, [&](const Fill& fill) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *params = fill.request;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* params) {
  return initialised([&](Driver& driver) -> CUresult {
    Operation operation;
    const CUresult result = fillOperation(driver, params, operation);
    return result == CUDA_SUCCESS ? replace(node, std::move(operation)) : result;
  });
}
BERTH_CUDA_API cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS* params) {
  return onOperation<HostFunction>(node, [&](const HostFunction& host) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *params = host.call;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  Operation operation;
  const CUresult result = hostOperation(params, operation);
  return result == CUDA_SUCCESS ? replace(node, std::move(operation)) : result;
}
BERTH_CUDA_API cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent* event) {
  return getEvent<RecordEvent>(node, event);
}
BERTH_CUDA_API cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event) {
  return setEvent<RecordEvent>(node, event);
}
BERTH_CUDA_API cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent* event) {
  return getEvent<AwaitEvent>(node, event);
}
BERTH_CUDA_API cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event) {
  return setEvent<AwaitEvent>(node, event);
}
BERTH_CUDA_API cuGraphNodeSetParams(CUgraphNode node, const CUgraphNodeParams* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return setKernelParams(node, &params->kernel.base, params->kernel.kern);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphMemcpyNodeSetParams(node, &params->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
      return cuGraphMemsetNodeSetParams(node, &params->memset);
    case CU_GRAPH_NODE_TYPE_HOST:
      return cuGraphHostNodeSetParams(node, &params->host);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return setEvent<AwaitEvent>(node, params->event.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return setEvent<RecordEvent>(node, params->event.event);
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

BERTH_CUDA_API cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, std::size_t* count) {
  return giveNodes(graph, nodes, count, false);
}
BERTH_CUDA_API cuGraphGetRootNodes(CUgraph graph, CUgraphNode* nodes, std::size_t* count) {
  return giveNodes(graph, nodes, count, true);
}
BERTH_CUDA_API cuGraphGetEdges(CUgraph graph, CUgraphNode* from, CUgraphNode* to, std::size_t* count) {
  return giveEdges(graph, from, to, count);
}
BERTH_CUDA_API cuGraphGetEdges_v2(CUgraph graph, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* edges,
                                  std::size_t* count) {
  if (edges != nullptr && count != nullptr) std::fill_n(edges, *count, CUgraphEdgeData{});
  return giveEdges(graph, from, to, count);
}
BERTH_CUDA_API cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode* nodes, std::size_t* count) {
  return giveDependencies(node, nodes, count);
}
BERTH_CUDA_API cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode* nodes, CUgraphEdgeData* edges,
                                             std::size_t* count) {
  if (edges != nullptr && count != nullptr) std::fill_n(edges, *count, CUgraphEdgeData{});
  return giveDependencies(node, nodes, count);
}
BERTH_CUDA_API cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode* nodes, std::size_t* count) {
  return giveDependents(node, nodes, count);
}
BERTH_CUDA_API cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode* nodes, CUgraphEdgeData* edges,
                                               std::size_t* count) {
  if (edges != nullptr && count != nullptr) std::fill_n(edges, *count, CUgraphEdgeData{});
  return giveDependents(node, nodes, count);
}
BERTH_CUDA_API cuGraphAddDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                      std::size_t count) {
  return addDependencies(graph, from, to, count);
}
BERTH_CUDA_API cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                         const CUgraphEdgeData*, std::size_t count) {
  return addDependencies(graph, from, to, count);
}
BERTH_CUDA_API cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                         std::size_t count) {
  return removeDependencies(graph, from, to, count);
}
BERTH_CUDA_API cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                            const CUgraphEdgeData*, std::size_t count) {
  return removeDependencies(graph, from, to, count);
}

BERTH_CUDA_API cuGraphDebugDotPrint(CUgraph handle, const char* path, unsigned) {
  return onGraph(handle, [&](Driver&, const std::shared_ptr<Graph>& graph) -> CUresult {
    if (path == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::FILE* file = std::fopen(path, "we");
    if (file == nullptr) return CUDA_ERROR_OPERATING_SYSTEM;
    {
      const std::lock_guard lock(graph->mutex);
      printDot(file, *graph);
    }
    return std::fclose(file) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
  });
}

}  // namespace berth::sim::cu
