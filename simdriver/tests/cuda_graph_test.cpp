// Graphs, by capture and by calls, and launches of every kind.
#include <array>
#include <thread>
#include <vector>

#include "tests/cuda.h"

namespace berth::sim::testing {
namespace {

using namespace cu;  // NOLINT(google-build-using-namespace): the ABI's names

constexpr std::size_t kBytes = 4096;

class GraphTest : public CudaTest {
 protected:
  void begin(CUstream stream, unsigned mode = CU_STREAM_CAPTURE_MODE_GLOBAL) const {
    EXPECT_EQ(call("cuStreamBeginCapture_v2", stream, mode), CUDA_SUCCESS);
  }
  CUgraph end(CUstream stream) const {
    CUgraph graph = nullptr;
    EXPECT_EQ(call("cuStreamEndCapture", stream, &graph), CUDA_SUCCESS);
    return graph;
  }
  CUgraphExec ready(CUgraph graph) const {
    CUgraphExec exec = nullptr;
    EXPECT_EQ(call("cuGraphInstantiateWithFlags", &exec, graph, 0ULL), CUDA_SUCCESS);
    return exec;
  }
  void run(CUgraphExec exec, CUstream stream) const {
    EXPECT_EQ(call("cuGraphLaunch", exec, stream), CUDA_SUCCESS);
    EXPECT_EQ(call("cuStreamSynchronize", stream), CUDA_SUCCESS);
  }
  CUgraph emptyGraph() const {
    CUgraph graph = nullptr;
    EXPECT_EQ(call("cuGraphCreate", &graph, 0U), CUDA_SUCCESS);
    return graph;
  }
  CUresult fillNode(CUgraphNode* node, CUgraph graph, const std::vector<CUgraphNode>& after, CUdeviceptr to,
                    unsigned value) const {
    const CUDA_MEMSET_NODE_PARAMS params{to, 0, value, 1, kBytes, 1};
    return call("cuGraphAddMemsetNode", node, graph, after.data(), after.size(), &params, context_);
  }
  CUgraphNode emptyNode(CUgraph graph, const std::vector<CUgraphNode>& after = {}) const {
    CUgraphNode node = nullptr;
    EXPECT_EQ(call("cuGraphAddEmptyNode", &node, graph, after.data(), after.size()), CUDA_SUCCESS);
    return node;
  }
  unsigned char firstByte(CUdeviceptr at) const {
    unsigned char byte = 0;
    EXPECT_EQ(call("cuMemcpyDtoH_v2", static_cast<void*>(&byte), at, std::size_t{1}), CUDA_SUCCESS);
    return byte;
  }
  CUresult fillAsync(CUdeviceptr to, unsigned char value, CUstream stream) const {
    return call("cuMemsetD8Async", to, value, kBytes, stream);
  }
  CUevent event() const {
    CUevent made = nullptr;
    EXPECT_EQ(call("cuEventCreate", &made, 0U), CUDA_SUCCESS);
    return made;
  }
  unsigned captureStatus(CUstream stream) const {
    unsigned status = ~0U;
    EXPECT_EQ(call("cuStreamIsCapturing", stream, &status), CUDA_SUCCESS);
    return status;
  }
  void free(CUdeviceptr pointer) const { EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS); }
};

TEST_F(GraphTest, ACaptureDoesNothingUntilItsGraphIsLaunchedAndThenEachTime) {
  const CUstream s = stream();
  const CUdeviceptr a = allocate(kBytes);
  EXPECT_EQ(call("cuMemsetD8_v2", a, static_cast<unsigned char>(1), kBytes), CUDA_SUCCESS);
  begin(s);
  EXPECT_EQ(captureStatus(s), CU_STREAM_CAPTURE_STATUS_ACTIVE);
  EXPECT_EQ(fillAsync(a, 7, s), CUDA_SUCCESS);
  EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  const CUgraph graph = end(s);
  EXPECT_EQ(captureStatus(s), CU_STREAM_CAPTURE_STATUS_NONE);
  const CUgraphExec exec = ready(graph);
  EXPECT_EQ(firstByte(a), 1);
  for (int i = 0; i < 2; ++i) {
    run(exec, s);
    EXPECT_EQ(firstByte(a), 7);
    EXPECT_EQ(call("cuMemsetD8_v2", a, static_cast<unsigned char>(1), kBytes), CUDA_SUCCESS);
  }
  EXPECT_EQ(call("cuGraphExecDestroy", exec), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphDestroy", graph), CUDA_SUCCESS);
  free(a);
}

TEST_F(GraphTest, ALaunchTakesTheDeviceTimeOfItsKernels) {
  const CUstream s = stream();
  begin(s);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  const CUgraphExec exec = ready(end(s));
  const CUevent start = event();
  const CUevent stop = event();
  EXPECT_EQ(call("cuEventRecord", start, s), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphLaunch", exec, s), CUDA_SUCCESS);
  EXPECT_EQ(call("cuEventRecord", stop, s), CUDA_SUCCESS);
  EXPECT_EQ(call("cuEventSynchronize", stop), CUDA_SUCCESS);
  float milliseconds = 0;
  EXPECT_EQ(call("cuEventElapsedTime", &milliseconds, start, stop), CUDA_SUCCESS);
  EXPECT_GE(milliseconds, 2.99F);
}

TEST_F(GraphTest, NodesRunInTheOrderOfTheirDependencies) {
  const CUdeviceptr a = allocate(kBytes);
  const CUgraph graph = emptyGraph();
  CUgraphNode last = nullptr;
  CUgraphNode first = nullptr;
  EXPECT_EQ(fillNode(&last, graph, {}, a, 2), CUDA_SUCCESS);
  EXPECT_EQ(fillNode(&first, graph, {}, a, 1), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphAddDependencies", graph, &first, &last, std::size_t{1}), CUDA_SUCCESS);
  const CUstream s = stream();
  run(ready(graph), s);
  EXPECT_EQ(firstByte(a), 2);
  EXPECT_EQ(call("cuGraphRemoveDependencies", graph, &first, &last, std::size_t{1}), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphRemoveDependencies", graph, &first, &last, std::size_t{1}),
            CUDA_ERROR_INVALID_VALUE);
  free(a);
}

TEST_F(GraphTest, ACircleIsNotMadeReady) {
  const CUgraph graph = emptyGraph();
  const CUgraphNode a = emptyNode(graph);
  const CUgraphNode b = emptyNode(graph, {a});
  EXPECT_EQ(call("cuGraphAddDependencies", graph, &b, &a, std::size_t{1}), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphAddDependencies", graph, &a, &a, std::size_t{1}), CUDA_ERROR_INVALID_VALUE);
  CUgraphExec exec = nullptr;
  EXPECT_EQ(call("cuGraphInstantiateWithFlags", &exec, graph, 0ULL), CUDA_ERROR_INVALID_VALUE);
  CUgraph copy = nullptr;
  EXPECT_EQ(call("cuGraphClone", &copy, graph), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GraphTest, DependenciesOnOtherGraphsAndTwiceOnOneNodeAreRefused) {
  const CUgraph graph = emptyGraph();
  const CUgraph other = emptyGraph();
  const CUgraphNode here = emptyNode(graph);
  const CUgraphNode there = emptyNode(other);
  CUgraphNode node = nullptr;
  const std::array twice{here, here};
  EXPECT_EQ(call("cuGraphAddEmptyNode", &node, graph, &there, std::size_t{1}), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphAddEmptyNode", &node, graph, twice.data(), twice.size()), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphAddEmptyNode", &node, graph, static_cast<CUgraphNode*>(nullptr), std::size_t{1}),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GraphTest, AStreamJoinsACaptureByAnEventAndMustComeBack) {
  const CUstream origin = stream();
  const CUstream side = stream();
  const CUevent fork = event();
  const CUevent join = event();
  for (const bool comes_back : {true, false}) {
    begin(origin);
    EXPECT_EQ(call("cuEventRecord", fork, origin), CUDA_SUCCESS);
    EXPECT_EQ(call("cuStreamWaitEvent", side, fork, 0U), CUDA_SUCCESS);
    EXPECT_EQ(captureStatus(side), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    EXPECT_EQ(launch(kernel("spin"), side), CUDA_SUCCESS);
    EXPECT_EQ(call("cuEventRecord", join, side), CUDA_SUCCESS);
    if (comes_back) {
      EXPECT_EQ(call("cuStreamWaitEvent", origin, join, 0U), CUDA_SUCCESS);
    }
    CUgraph graph = nullptr;
    EXPECT_EQ(call("cuStreamEndCapture", origin, &graph),
              comes_back ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    EXPECT_EQ(graph != nullptr, comes_back);
    EXPECT_EQ(captureStatus(side), CU_STREAM_CAPTURE_STATUS_NONE);
  }
  EXPECT_EQ(call("cuEventQuery", fork), CUDA_ERROR_CAPTURED_EVENT);
}

TEST_F(GraphTest, AWaitForUncapturedWorkInvalidatesTheCapture) {
  const CUstream captured = stream();
  const CUstream other = stream();
  const CUevent done = event();
  EXPECT_EQ(call("cuEventRecord", done, other), CUDA_SUCCESS);
  begin(captured);
  EXPECT_EQ(call("cuStreamWaitEvent", captured, done, 0U), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  EXPECT_EQ(captureStatus(captured), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
  CUgraph graph = nullptr;
  EXPECT_EQ(call("cuStreamEndCapture", captured, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(captured);
  EXPECT_EQ(call("cuStreamWaitEvent", captured, done, kEventWaitExternal), CUDA_SUCCESS);
  EXPECT_NE(end(captured), nullptr);
}

TEST_F(GraphTest, UnsafeCallsDuringAGlobalCaptureFailAndInvalidateIt) {
  const CUstream s = stream();
  CUdeviceptr pointer = 0;
  CUgraph graph = nullptr;
  begin(s);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, kBytes), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(launch(kernel("spin"), s), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(call("cuStreamEndCapture", s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(s);
  EXPECT_EQ(call("cuStreamSynchronize", s), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(call("cuStreamEndCapture", s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  begin(s);
  std::thread([&] {
    EXPECT_EQ(call("cuCtxSetCurrent", context_), CUDA_SUCCESS);
    EXPECT_EQ(call("cuCtxSynchronize"), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  }).join();
  EXPECT_EQ(call("cuStreamEndCapture", s, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(GraphTest, RelaxedAndThreadLocalCapturesAllowThemWhereTheyMay) {
  const CUstream s = stream();
  begin(s, CU_STREAM_CAPTURE_MODE_RELAXED);
  free(allocate(kBytes));
  EXPECT_NE(end(s), nullptr);
  begin(s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  std::thread([&] {
    EXPECT_EQ(call("cuCtxSetCurrent", context_), CUDA_SUCCESS);
    free(allocate(kBytes));
    CUgraph graph = nullptr;
    EXPECT_EQ(call("cuStreamEndCapture", s, &graph), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  }).join();
  unsigned mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  EXPECT_EQ(call("cuThreadExchangeStreamCaptureMode", &mode), CUDA_SUCCESS);
  EXPECT_EQ(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
  free(allocate(kBytes));
  EXPECT_EQ(call("cuThreadExchangeStreamCaptureMode", &mode), CUDA_SUCCESS);
  EXPECT_NE(end(s), nullptr);
}

TEST_F(GraphTest, TheDefaultStreamMayNotWaitForACapturedOne) {
  const CUstream blocking = stream(0);
  begin(blocking);
  EXPECT_EQ(launch(kernel("spin"), nullptr), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  CUgraph graph = nullptr;
  EXPECT_EQ(call("cuStreamEndCapture", blocking, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  const CUstream free_running = stream();
  begin(free_running);
  EXPECT_EQ(launch(kernel("spin"), nullptr), CUDA_SUCCESS);
  EXPECT_NE(end(free_running), nullptr);
  EXPECT_EQ(call("cuStreamBeginCapture_v2", CUstream{nullptr}, 0U), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(call("cuStreamEndCapture", free_running, &graph), CUDA_ERROR_ILLEGAL_STATE);
}

TEST_F(GraphTest, CaptureInfoTellsTheGraphAndWhatComesNextDependsOn) {
  const CUstream s = stream();
  begin(s);
  EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  unsigned status = 0;
  std::uint64_t id = 0;
  CUgraph graph = nullptr;
  const CUgraphNode* dependencies = nullptr;
  std::size_t count = 0;
  EXPECT_EQ(call("cuStreamGetCaptureInfo_v2", s, &status, &id, &graph, &dependencies, &count), CUDA_SUCCESS);
  ASSERT_EQ(count, 1U);
  unsigned type = ~0U;
  EXPECT_EQ(call("cuGraphNodeGetType", dependencies[0], &type), CUDA_SUCCESS);
  EXPECT_EQ(type, CU_GRAPH_NODE_TYPE_KERNEL);
  const CUgraphNode added = emptyNode(graph, {dependencies[0]});
  EXPECT_EQ(call("cuStreamUpdateCaptureDependencies", s, &added, std::size_t{1}, kCaptureSetDependencies),
            CUDA_SUCCESS);
  EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  EXPECT_EQ(end(s), graph);
  EXPECT_EQ(call("cuGraphNodeGetDependentNodes", added, static_cast<CUgraphNode*>(nullptr), &count),
            CUDA_SUCCESS);
  EXPECT_EQ(count, 1U);
}

TEST_F(GraphTest, AnUpdateTakesNewParametersButNoNewShape) {
  const CUdeviceptr a = allocate(kBytes);
  const CUstream s = stream();
  std::array<CUgraph, 3> graphs{};
  for (std::size_t i = 0; i < graphs.size(); ++i) {
    graphs[i] = emptyGraph();
    CUgraphNode node = nullptr;
    EXPECT_EQ(fillNode(&node, graphs[i], {}, a, static_cast<unsigned>(i) + 1), CUDA_SUCCESS);
  }
  emptyNode(graphs[2]);
  const CUgraphExec exec = ready(graphs[0]);
  CUgraphExecUpdateResultInfo info{};
  EXPECT_EQ(call("cuGraphExecUpdate_v2", exec, graphs[1], &info), CUDA_SUCCESS);
  run(exec, s);
  EXPECT_EQ(firstByte(a), 2);
  EXPECT_EQ(call("cuGraphExecUpdate_v2", exec, graphs[2], &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  EXPECT_EQ(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  run(exec, s);
  EXPECT_EQ(firstByte(a), 2);
  free(a);
}

TEST_F(GraphTest, NodesOfAReadyGraphAreChangedAndSwitchedOff) {
  const CUdeviceptr a = allocate(kBytes);
  const CUstream s = stream();
  const CUgraph graph = emptyGraph();
  CUgraphNode node = nullptr;
  EXPECT_EQ(fillNode(&node, graph, {}, a, 1), CUDA_SUCCESS);
  const CUgraphExec exec = ready(graph);
  const CUDA_MEMSET_NODE_PARAMS five{a, 0, 5, 1, kBytes, 1};
  EXPECT_EQ(call("cuGraphExecMemsetNodeSetParams", exec, node, &five, context_), CUDA_SUCCESS);
  run(exec, s);
  EXPECT_EQ(firstByte(a), 5);
  EXPECT_EQ(call("cuMemsetD8_v2", a, static_cast<unsigned char>(9), kBytes), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphNodeSetEnabled", exec, node, 0U), CUDA_SUCCESS);
  run(exec, s);
  EXPECT_EQ(firstByte(a), 9);
  CUDA_MEMSET_NODE_PARAMS now{};
  EXPECT_EQ(call("cuGraphMemsetNodeGetParams", node, &now), CUDA_SUCCESS);
  EXPECT_EQ(now.value, 1U) << "the graph itself is as it was";
  free(a);
}

TEST_F(GraphTest, ChildGraphsAreCopiesAndRunInTheirPlace) {
  const CUdeviceptr a = allocate(kBytes);
  const CUgraph inner = emptyGraph();
  CUgraphNode fill = nullptr;
  EXPECT_EQ(fillNode(&fill, inner, {}, a, 3), CUDA_SUCCESS);
  const CUgraph outer = emptyGraph();
  CUgraphNode child = nullptr;
  EXPECT_EQ(call("cuGraphAddChildGraphNode", &child, outer, static_cast<CUgraphNode*>(nullptr),
                 std::size_t{0}, inner),
            CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphDestroy", inner), CUDA_SUCCESS);
  CUgraph owned = nullptr;
  EXPECT_EQ(call("cuGraphChildGraphNodeGetGraph", child, &owned), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphDestroy", owned), CUDA_ERROR_INVALID_VALUE);
  CUgraph clone = nullptr;
  EXPECT_EQ(call("cuGraphClone", &clone, outer), CUDA_SUCCESS);
  CUgraphNode found = nullptr;
  EXPECT_EQ(call("cuGraphNodeFindInClone", &found, child, clone), CUDA_SUCCESS);
  EXPECT_NE(found, child);
  run(ready(clone), stream());
  EXPECT_EQ(firstByte(a), 3);
  free(a);
}

TEST_F(GraphTest, ALaunchIntoACaptureBecomesAChild) {
  const CUdeviceptr a = allocate(kBytes);
  const CUgraph inner = emptyGraph();
  CUgraphNode node = nullptr;
  EXPECT_EQ(fillNode(&node, inner, {}, a, 6), CUDA_SUCCESS);
  const CUgraphExec exec = ready(inner);
  const CUstream s = stream();
  begin(s);
  EXPECT_EQ(call("cuGraphLaunch", exec, s), CUDA_SUCCESS);
  const CUgraph graph = end(s);
  EXPECT_EQ(call("cuMemsetD8_v2", a, static_cast<unsigned char>(0), kBytes), CUDA_SUCCESS);
  run(ready(graph), s);
  EXPECT_EQ(firstByte(a), 6);
  free(a);
}

TEST_F(GraphTest, KernelNodesKeepTheirArgumentsAndTakeNewOnes) {
  const CUgraph graph = emptyGraph();
  std::uint64_t pointer = 0x1234;
  std::uint32_t count = 99;
  void* parameters[] = {&pointer, &count};
  const CUDA_KERNEL_NODE_PARAMS params{kernel("cheap"), 2, 1, 1, 32, 1, 1, 0, parameters, nullptr};
  CUgraphNode node = nullptr;
  EXPECT_EQ(
      call("cuGraphAddKernelNode", &node, graph, static_cast<CUgraphNode*>(nullptr), std::size_t{0}, &params),
      CUDA_SUCCESS);
  count = 0;
  CUDA_KERNEL_NODE_PARAMS got{};
  EXPECT_EQ(call("cuGraphKernelNodeGetParams", node, &got), CUDA_SUCCESS);
  EXPECT_EQ(got.gridDimX, 2U);
  EXPECT_EQ(*static_cast<std::uint32_t*>(got.kernelParams[1]), 99U);
  CUDA_KERNEL_NODE_PARAMS too_large = params;
  too_large.blockDimX = 2048;
  EXPECT_EQ(call("cuGraphKernelNodeSetParams", node, &too_large), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(GraphTest, UserObjectsLiveAsLongAsTheGraphThatHoldsThem) {
  int destroyed = 0;
  const CUhostFn count = [](void* at) { ++*static_cast<int*>(at); };
  CUuserObject object = nullptr;
  EXPECT_EQ(call("cuUserObjectCreate", &object, static_cast<void*>(&destroyed), count, 1U,
                 kUserObjectNoDestructorSync),
            CUDA_SUCCESS);
  const CUgraph graph = emptyGraph();
  EXPECT_EQ(call("cuGraphRetainUserObject", graph, object, 1U, kGraphUserObjectMove), CUDA_SUCCESS);
  EXPECT_EQ(destroyed, 0);
  EXPECT_EQ(call("cuGraphDestroy", graph), CUDA_SUCCESS);
  EXPECT_EQ(destroyed, 1);
}

TEST_F(GraphTest, MemoryOfAGraphIsThereFromItsLaunchUntilItIsFreedAndTrimmed) {
  constexpr std::size_t kMib = std::size_t{1} << 20;
  const std::size_t before = freeBytes();
  const CUstream s = stream();
  CUdeviceptr pointer = 0;
  begin(s);
  EXPECT_EQ(call("cuMemAllocAsync", &pointer, kMib, s), CUDA_SUCCESS);
  EXPECT_EQ(fillAsync(pointer, 4, s), CUDA_SUCCESS);
  const CUgraph graph = end(s);
  EXPECT_EQ(freeBytes(), before) << "nothing is allocated by capturing";
  const CUgraphExec exec = ready(graph);
  run(exec, s);
  EXPECT_EQ(before - freeBytes(), kMib);
  EXPECT_EQ(firstByte(pointer), 4);
  EXPECT_EQ(call("cuGraphLaunch", exec, s), CUDA_ERROR_INVALID_VALUE) << "it is still allocated";
  free(pointer);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(before - freeBytes(), kMib) << "kept for the next launch";
  run(exec, s);
  EXPECT_EQ(before - freeBytes(), kMib);
  CUgraph clone = nullptr;
  EXPECT_EQ(call("cuGraphClone", &clone, graph), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(call("cuGraphExecDestroy", exec), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphDestroy", graph), CUDA_SUCCESS);
  EXPECT_EQ(firstByte(pointer), 4) << "it outlives the graph";
  free(pointer);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuDeviceGraphMemTrim", 0), CUDA_SUCCESS);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(GraphTest, MemoryNodesAllocateAndFreeInOneLaunch) {
  const CUgraph graph = emptyGraph();
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  params.poolProps.allocType = kMemAllocationPinned;
  params.poolProps.location = {kMemLocationDevice, 0};
  params.bytesize = kBytes;
  CUgraphNode node = nullptr;
  EXPECT_EQ(call("cuGraphAddMemAllocNode", &node, graph, static_cast<const CUgraphNode*>(nullptr),
                 std::size_t{0}, &params),
            CUDA_SUCCESS);
  CUgraphNode freed = nullptr;
  EXPECT_EQ(call("cuGraphAddMemFreeNode", &freed, graph, static_cast<const CUgraphNode*>(&node),
                 std::size_t{1}, CUdeviceptr{0x1234}),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphAddMemFreeNode", &freed, graph, static_cast<const CUgraphNode*>(&node),
                 std::size_t{1}, params.dptr),
            CUDA_SUCCESS);
  const CUgraphExec exec = ready(graph);
  const CUstream s = stream();
  for (int i = 0; i < 3; ++i) run(exec, s);
  std::uint64_t used = 1;
  std::uint64_t reserved = 0;
  EXPECT_EQ(call("cuDeviceGetGraphMemAttribute", 0, 0U, static_cast<void*>(&used)), CUDA_SUCCESS);
  EXPECT_EQ(call("cuDeviceGetGraphMemAttribute", 0, 2U, static_cast<void*>(&reserved)), CUDA_SUCCESS);
  EXPECT_EQ(used, 0U);
  EXPECT_EQ(reserved, kBytes);
  EXPECT_EQ(call("cuDeviceGraphMemTrim", 0), CUDA_SUCCESS);
}

TEST_F(GraphTest, WrongHandlesAreErrors) {
  const auto bad_graph = reinterpret_cast<CUgraph>(0x1234);
  const auto bad_node = reinterpret_cast<CUgraphNode>(0x1234);
  const auto bad_exec = reinterpret_cast<CUgraphExec>(0x1234);
  CUgraphExec exec = nullptr;
  unsigned type = 0;
  EXPECT_EQ(call("cuGraphCreate", static_cast<CUgraph*>(nullptr), 0U), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphDestroy", bad_graph), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphInstantiateWithFlags", &exec, bad_graph, 0ULL), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphLaunch", bad_exec, stream()), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphExecDestroy", bad_exec), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphNodeGetType", bad_node, &type), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphDestroyNode", bad_node), CUDA_ERROR_INVALID_VALUE);
  const CUgraph graph = emptyGraph();
  EXPECT_EQ(call("cuGraphInstantiateWithFlags", &exec, graph, 1ULL << 40), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuGraphDestroy", graph), CUDA_SUCCESS);
  EXPECT_EQ(call("cuGraphDestroy", graph), CUDA_ERROR_INVALID_VALUE);
}

class LaunchTest : public CudaTest {};

TEST_F(LaunchTest, ACooperativeGridMustFitOnTheDevice) {
  const CUfunction spin = kernel("spin");
  int blocks = 0;
  EXPECT_EQ(call("cuOccupancyMaxActiveBlocksPerMultiprocessor", &blocks, spin, 1024, std::size_t{0}),
            CUDA_SUCCESS);
  EXPECT_EQ(blocks, 1);  // T4: 1024 threads on an SM
  const auto cooperative = [&](unsigned grid) {
    return call("cuLaunchCooperativeKernel", spin, grid, 1U, 1U, 1024U, 1U, 1U, 0U, CUstream{nullptr},
                static_cast<void**>(nullptr));
  };
  EXPECT_EQ(cooperative(40), CUDA_SUCCESS);
  EXPECT_EQ(cooperative(41), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  EXPECT_EQ(call("cuCtxSynchronize"), CUDA_SUCCESS);
}

TEST_F(LaunchTest, ExTakesTheCooperativeAttribute) {
  CUlaunchAttribute attribute{};
  attribute.id = kLaunchAttributeCooperative;
  attribute.value.cooperative = 1;
  CUlaunchConfig config{41, 1, 1, 1024, 1, 1, 0, nullptr, &attribute, 1};
  const CUfunction spin = kernel("spin");
  const auto run = [&] {
    return call("cuLaunchKernelEx", static_cast<const CUlaunchConfig*>(&config), spin,
                static_cast<void**>(nullptr), static_cast<void**>(nullptr));
  };
  EXPECT_EQ(run(), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
  attribute.value.cooperative = 0;
  EXPECT_EQ(run(), CUDA_SUCCESS);
  attribute.id = 1000;
  EXPECT_EQ(run(), CUDA_ERROR_INVALID_VALUE);
  config.attrs = nullptr;
  EXPECT_EQ(run(), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuCtxSynchronize"), CUDA_SUCCESS);
}

TEST_F(LaunchTest, ShapesAndArgumentsAreChecked) {
  const CUfunction cheap = kernel("cheap");
  const auto shaped = [&](unsigned grid, unsigned block, unsigned shared) {
    return call("cuLaunchKernel", kernel("spin"), grid, 1U, 1U, block, 1U, 1U, shared, CUstream{nullptr},
                static_cast<void**>(nullptr), static_cast<void**>(nullptr));
  };
  EXPECT_EQ(shaped(0, 32, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(shaped(1, 0, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(shaped(1, 1025, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(shaped(1, 32, 1U << 20), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuLaunchKernel", cheap, 1U, 1U, 1U, 32U, 1U, 1U, 0U, CUstream{nullptr},
                 static_cast<void**>(nullptr), static_cast<void**>(nullptr)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(reinterpret_cast<CUfunction>(0x1234), nullptr), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(launch(cheap, reinterpret_cast<CUstream>(0x1234)), CUDA_ERROR_INVALID_HANDLE);
}

}  // namespace
}  // namespace berth::sim::testing
