// Graphs made ready: instantiated, launched, updated.
#include <algorithm>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"
#include "graph.h"
#include "graph_memory.h"

namespace berth::sim::cu {
namespace {

constexpr unsigned long long kKnownFlags =
    kGraphAutoFreeOnLaunch | kGraphUpload | kGraphDeviceLaunch | kGraphUseNodePriority;
constexpr unsigned kInstantiateError = 1;
constexpr unsigned kInstantiateInvalidStructure = 2;

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

CUresult instantiate(CUgraphExec* out, CUgraph handle, unsigned long long flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || (flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & kGraphDeviceLaunch) != 0) return CUDA_ERROR_NOT_SUPPORTED;
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(handle));
    if (!graph || !launchable(sizeOf(*graph))) return CUDA_ERROR_INVALID_VALUE;
    auto exec = std::make_shared<GraphExec>();
    exec->flags = flags;
    exec->nodes = detachedCopies(orderOf(*graph));
    *out = handleOf<CUgraphExec>(driver.graph_execs.add(std::move(exec)));
    return CUDA_SUCCESS;
  });
}

CUresult instantiateWithParams(CUgraphExec* out, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = instantiate(out, graph, params->flags);
  params->hErrNode_out = nullptr;
  params->result_out = CUDA_SUCCESS;
  if (result != CUDA_SUCCESS) {
    params->result_out =
        result == CUDA_ERROR_INVALID_VALUE ? kInstantiateInvalidStructure : kInstantiateError;
  }
  return result;
}

/// The form with a log, which has nothing to say when all is well.
CUresult instantiateWithLog(CUgraphExec* out, CUgraph graph, CUgraphNode* error_node, char* log,
                            std::size_t bytes) {
  if (error_node != nullptr) *error_node = nullptr;
  if (log != nullptr && bytes != 0) *log = '\0';
  return instantiate(out, graph, 0);
}

template <typename Fn>
CUresult onExec(CUgraphExec handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<GraphExec> exec = driver.graph_execs.find(numberOf(handle));
    if (!exec) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(exec->mutex);
    return fn(driver, *exec);
  });
}

/// A graph of the tables with what `exec` runs: what a capture takes from a launch.
ChildGraph asChild(Driver& driver, const GraphExec& exec) {
  Graph lent;
  lent.nodes = exec.nodes;
  std::shared_ptr<Graph> copy = cloneGraph(driver, lent);
  lent.nodes.clear();  // They stay the other's
  copy->owned = true;
  const std::uintptr_t handle = copy->handle;
  return {std::move(copy), handle};
}

CUresult captureLaunch(Driver& driver, Stream& stream, const GraphExec& exec) {
  const bool copyable = std::ranges::none_of(exec.nodes, [](const auto& node) {
    return std::holds_alternative<MemAlloc>(node->operation) ||
           std::holds_alternative<MemFree>(node->operation);
  });
  if (!copyable) return CUDA_ERROR_NOT_SUPPORTED;
  return captureOperation(driver, stream, asChild(driver, exec));
}

/// What the last launch allocated and nobody freed: freed now when the graph was made ready for that.
CUresult readyMemory(Driver& driver, const GraphExec& exec) {
  for (const std::shared_ptr<GraphNode>& node : exec.nodes) {
    const auto* allocate = std::get_if<MemAlloc>(&node->operation);
    if (allocate == nullptr || !allocate->memory->memory()->live) continue;
    if ((exec.flags & kGraphAutoFreeOnLaunch) == 0) return CUDA_ERROR_INVALID_VALUE;
    static_cast<void>(freeGraphMemory(driver, *allocate->memory->memory()));
  }
  return CUDA_SUCCESS;
}

CUresult launch(CUgraphExec handle, CUstream stream_handle) {
  return onStream(stream_handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (stream->legacy) {
                      const CUresult result = driver.captures.forbidImplicit(*context);
                      if (result != CUDA_SUCCESS) return result;
                    }
                    return onExec(handle, [&](Driver&, const GraphExec& exec) -> CUresult {
                      const std::lock_guard lock(stream->mutex);
                      if (stream->capture) return captureLaunch(driver, *stream, exec);
                      const CUresult result = readyMemory(driver, exec);
                      if (result != CUDA_SUCCESS) return result;
                      return performNodes(driver, *context, *stream, exec.nodes);
                    });
                  });
}

CUresult upload(CUgraphExec handle, CUstream stream) {
  return onStream(stream, [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>&) {
    return onExec(handle, [](Driver&, const GraphExec&) { return CUDA_SUCCESS; });
  });
}

std::shared_ptr<GraphNode> copyOf(const GraphExec& exec, CUgraphNode node) {
  const auto found = std::ranges::find_if(
      exec.nodes, [&](const auto& copy) { return copy->origin != 0 && copy->origin == numberOf(node); });
  return found == exec.nodes.end() ? nullptr : *found;
}

/// Replaces what the copy of `node` does by an operation of the same kind.
CUresult replace(CUgraphExec handle, CUgraphNode node, Operation operation) {
  return onExec(handle, [&](Driver&, const GraphExec& exec) -> CUresult {
    const std::shared_ptr<GraphNode> copy = copyOf(exec, node);
    if (!copy || copy->operation.index() != operation.index()) return CUDA_ERROR_INVALID_VALUE;
    copy->operation = std::move(operation);
    return CUDA_SUCCESS;
  });
}

CUresult setKernelParams(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params,
                         CUkernel kernel) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Operation operation;
    const CUresult result = kernelOperation(driver, context, *params, kernel, operation);
    return result == CUDA_SUCCESS ? replace(exec, node, std::move(operation)) : result;
  });
}

template <typename Kind>
CUresult setEvent(CUgraphExec exec, CUgraphNode node, CUevent handle) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Event> event = driver.events.find(numberOf(handle));
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    return replace(exec, node, Kind{event, numberOf(handle)});
  });
}

/// Where two lists of ordered nodes differ in what an update may not change.
struct Difference {
  CUgraphExecUpdateResult result = CU_GRAPH_EXEC_UPDATE_SUCCESS;
  CUgraphNode node = nullptr;
};

bool sameEdges(const Nodes& left, std::size_t index, const Nodes& right) {
  const auto place = [](const Nodes& nodes, const std::shared_ptr<GraphNode>& node) {
    return std::ranges::find(nodes, node) - nodes.begin();
  };
  const Nodes& before_left = left[index]->after;
  const Nodes& before_right = right[index]->after;
  return std::ranges::equal(before_left, before_right,
                            [&](const auto& a, const auto& b) { return place(left, a) == place(right, b); });
}

Difference compare(const Nodes& now, const Nodes& wanted) {
  if (now.size() != wanted.size()) return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, nullptr};
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto node = handleOf<CUgraphNode>(wanted[i]->handle);
    if (now[i]->operation.index() != wanted[i]->operation.index())
      return {CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED, node};
    if (!sameEdges(now, i, wanted)) return {CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, node};
    const auto* child = std::get_if<ChildGraph>(&now[i]->operation);
    if (child == nullptr) continue;
    const Difference inside =
        compare(orderOf(*child->graph), orderOf(*std::get<ChildGraph>(wanted[i]->operation).graph));
    if (inside.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return inside;
  }
  return {};
}

CUresult update(CUgraphExec exec_handle, CUgraph graph_handle, Difference& difference) {
  return onExec(exec_handle, [&](Driver& driver, const GraphExec& exec) -> CUresult {
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(graph_handle));
    if (!graph || !launchable(sizeOf(*graph))) {
      difference.result = CU_GRAPH_EXEC_UPDATE_ERROR;
      return CUDA_ERROR_INVALID_VALUE;
    }
    const Nodes wanted = orderOf(*graph);
    difference = compare(exec.nodes, wanted);
    if (difference.result != CU_GRAPH_EXEC_UPDATE_SUCCESS) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    const Nodes copies = detachedCopies(wanted);
    for (std::size_t i = 0; i < copies.size(); ++i) exec.nodes[i]->operation = copies[i]->operation;
    for (const std::shared_ptr<GraphNode>& copy : copies) copy->after.clear();
    return CUDA_SUCCESS;
  });
}

bool canBeDisabled(const Operation& operation) {
  return std::holds_alternative<KernelLaunch>(operation) || std::holds_alternative<Copy>(operation) ||
         std::holds_alternative<Fill>(operation);
}

}  // namespace

BERTH_CUDA_API cuGraphInstantiate(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                                  std::size_t bytes) {
  return instantiateWithLog(exec, graph, error_node, log, bytes);
}
BERTH_CUDA_API cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode* error_node, char* log,
                                     std::size_t bytes) {
  return instantiateWithLog(exec, graph, error_node, log, bytes);
}
BERTH_CUDA_API cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  return instantiate(exec, graph, flags);
}
BERTH_CUDA_API cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                            CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  return instantiateWithParams(exec, graph, params);
}
BERTH_CUDA_API cuGraphInstantiateWithParams_ptsz(CUgraphExec* exec, CUgraph graph,
                                                 CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  return instantiateWithParams(exec, graph, params);
}

BERTH_CUDA_API cuGraphExecDestroy(CUgraphExec exec) {
  return initialised([&](Driver& driver) -> CUresult {
    return driver.graph_execs.take(numberOf(exec)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
BERTH_CUDA_API cuGraphExecGetFlags(CUgraphExec handle, std::uint64_t* flags) {
  return onExec(handle, [&](Driver&, const GraphExec& exec) -> CUresult {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = exec.flags & ~static_cast<unsigned long long>(kGraphUpload);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphLaunch(CUgraphExec exec, CUstream stream) { return launch(exec, stream); }
BERTH_CUDA_API cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream) {
  return launch(exec, orPerThread(stream));
}
BERTH_CUDA_API cuGraphUpload(CUgraphExec exec, CUstream stream) { return upload(exec, stream); }
BERTH_CUDA_API cuGraphUpload_ptsz(CUgraphExec exec, CUstream stream) {
  return upload(exec, orPerThread(stream));
}

BERTH_CUDA_API cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode* error_node, unsigned* result) {
  if (result == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Difference difference;
  const CUresult code = update(exec, graph, difference);
  *result = difference.result;
  if (error_node != nullptr) *error_node = difference.node;
  return code;
}
BERTH_CUDA_API cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
  if (info == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Difference difference;
  const CUresult code = update(exec, graph, difference);
  *info = {difference.result, difference.node, nullptr};
  return code;
}

BERTH_CUDA_API cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                              const CUDA_KERNEL_NODE_PARAMS* params) {
  return setKernelParams(exec, node, params, nullptr);
}
BERTH_CUDA_API cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                                 const CUDA_KERNEL_NODE_PARAMS_v2* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return setKernelParams(exec, node, &params->base, params->kern);
}
BERTH_CUDA_API cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D* params,
                                              CUcontext) {
  return initialised([&](Driver& driver) -> CUresult {
    Operation operation;
    const CUresult result = copyOperation(driver, params, operation);
    return result == CUDA_SUCCESS ? replace(exec, node, std::move(operation)) : result;
  });
}
BERTH_CUDA_API cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                              const CUDA_MEMSET_NODE_PARAMS* params, CUcontext) {
  return initialised([&](Driver& driver) -> CUresult {
    Operation operation;
    const CUresult result = fillOperation(driver, params, operation);
    return result == CUDA_SUCCESS ? replace(exec, node, std::move(operation)) : result;
  });
}
BERTH_CUDA_API cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_HOST_NODE_PARAMS* params) {
  Operation operation;
  const CUresult result = hostOperation(params, operation);
  return result == CUDA_SUCCESS ? replace(exec, node, std::move(operation)) : result;
}
BERTH_CUDA_API cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event) {
  return setEvent<RecordEvent>(exec, node, event);
}
BERTH_CUDA_API cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event) {
  return setEvent<AwaitEvent>(exec, node, event);
}
BERTH_CUDA_API cuGraphExecChildGraphNodeSetParams(CUgraphExec handle, CUgraphNode node, CUgraph child) {
  return onExec(handle, [&](Driver& driver, const GraphExec& exec) -> CUresult {
    const std::shared_ptr<GraphNode> copy = copyOf(exec, node);
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(child));
    if (!copy || !graph || !launchable(sizeOf(*graph))) return CUDA_ERROR_INVALID_VALUE;
    auto* now = std::get_if<ChildGraph>(&copy->operation);
    if (now == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Nodes wanted = orderOf(*graph);
    if (compare(orderOf(*now->graph), wanted).result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
      return CUDA_ERROR_INVALID_VALUE;
    auto replacement = std::make_shared<Graph>();
    replacement->nodes = detachedCopies(wanted);
    *now = {std::move(replacement), 0};
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUgraphNodeParams* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return setKernelParams(exec, node, &params->kernel.base, params->kernel.kern);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
      return cuGraphExecMemcpyNodeSetParams(exec, node, &params->memcpy.copyParams, nullptr);
    case CU_GRAPH_NODE_TYPE_MEMSET:
      return cuGraphExecMemsetNodeSetParams(exec, node, &params->memset, nullptr);
    case CU_GRAPH_NODE_TYPE_HOST:
      return cuGraphExecHostNodeSetParams(exec, node, &params->host);
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return cuGraphExecChildGraphNodeSetParams(exec, node, params->graph.graph);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
      return setEvent<AwaitEvent>(exec, node, params->event.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
      return setEvent<RecordEvent>(exec, node, params->event.event);
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

BERTH_CUDA_API cuGraphNodeSetEnabled(CUgraphExec handle, CUgraphNode node, unsigned enabled) {
  return onExec(handle, [&](Driver&, const GraphExec& exec) -> CUresult {
    const std::shared_ptr<GraphNode> copy = copyOf(exec, node);
    if (!copy || enabled > 1 || !canBeDisabled(copy->operation)) return CUDA_ERROR_INVALID_VALUE;
    copy->enabled = enabled != 0;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuGraphNodeGetEnabled(CUgraphExec handle, CUgraphNode node, unsigned* enabled) {
  return onExec(handle, [&](Driver&, const GraphExec& exec) -> CUresult {
    const std::shared_ptr<GraphNode> copy = copyOf(exec, node);
    if (!copy || enabled == nullptr || !canBeDisabled(copy->operation)) return CUDA_ERROR_INVALID_VALUE;
    *enabled = copy->enabled ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
