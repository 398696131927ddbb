// Property: no sequence of driver calls, with handles that are good, stale, foreign or invented and numbers
// of any size, crashes the driver; every answer is a code that has a name; and when all contexts are gone,
// the GPU has back all it gave.
//
// An input is a program: one byte for the call, then its arguments as the call reads them (see Script). Host
// buffers are always real ones, because no driver can check them.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "cuda/cuda_abi.h"
#include "cuda/driver.h"
#include "cuda/proc_address.h"
#include "tests/fake_engine.h"

namespace {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): a program, not a header
using berth::sim::testing::FakeGpu;

void require(bool holds) {
  if (!holds) std::abort();
}

/// Calls the newest form of `name` and checks that its answer is one.
template <typename... Args>
CUresult call(std::string_view name, Args... args) {
  const SymbolSearch found = findSymbol(name, kDriverVersion);
  require(found.symbol != nullptr);
  const CUresult result = reinterpret_cast<CUresult (*)(Args...)>(found.symbol->function)(args...);
  const char* text = nullptr;
  const auto name_of = reinterpret_cast<CUresult (*)(unsigned, const char**)>(
      findSymbol("cuGetErrorName", kDriverVersion).symbol->function);
  require(name_of(result, &text) == CUDA_SUCCESS);
  return result;
}

/// The input as numbers; zeros after its end.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  bool atEnd() const { return at_ >= size_; }
  std::uint8_t byte() { return at_ < size_ ? data_[at_++] : std::uint8_t{0}; }
  /// Small numbers mostly, and the odd ones out.
  std::uint64_t number() {
    const std::uint8_t kind = byte();
    if (kind < 128) return kind;
    if (kind < 192) return std::uint64_t{byte()} << (kind % 48);
    if (kind < 224) return std::uint64_t{byte()} * 512;
    return std::numeric_limits<std::uint64_t>::max() - byte();
  }
  unsigned word() { return static_cast<unsigned>(number()); }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

/// Handles of one kind that calls gave out, the destroyed ones included.
class Handles {
 public:
  void add(std::uint64_t handle) {
    constexpr std::size_t kMost = 64;
    if (handles_.size() < kMost) handles_.push_back(handle);
  }
  /// One of them, or what the script invents.
  std::uint64_t pick(Script& script) const {
    const std::uint8_t which = script.byte();
    if (which == 255 || handles_.empty()) return script.number();
    return handles_[which % handles_.size()];
  }

 private:
  std::vector<std::uint64_t> handles_;
};

constexpr const char* kText =
    ".version 6.0\n.target sm_50\n.global .b8 v[64];\n"
    ".visible .entry a(.param .u64 p, .param .u32 n)\n{ ret; }\n.visible .entry b()\n{ ret; }\n";

class Machine {
 public:
  explicit Machine(Script& script) : script_(script) {}

  void run() {
    constexpr int kMostCalls = 400;
    for (int i = 0; i < kMostCalls && !script_.atEnd(); ++i) step(script_.byte());
  }

 private:
  template <typename Handle>
  Handle one(const Handles& from) {
    return reinterpret_cast<Handle>(from.pick(script_));  // NOLINT(performance-no-int-to-ptr)
  }
  CUdeviceptr pointer() { return memory_.pick(script_) + script_.byte(); }
  CUstream stream() { return one<CUstream>(streams_); }
  template <typename Handle>
  void keep(CUresult result, Handles& in, Handle handle) {
    if (result == CUDA_SUCCESS) in.add(reinterpret_cast<std::uint64_t>(handle));
  }
  void keepPointer(CUresult result, CUdeviceptr pointer) {
    if (result == CUDA_SUCCESS) memory_.add(pointer);
  }
  std::size_t hostBytes() { return script_.number() % host_.size(); }

  void step(std::uint8_t which) {
    switch (which % 8) {
      case 0:
        return contexts(script_.byte());
      case 1:
        return memory(script_.byte());
      case 2:
        return copies(script_.byte());
      case 3:
        return streams(script_.byte());
      case 4:
        return launches(script_.byte());
      case 5:
        return graphs(script_.byte());
      case 6:
        return virtualMemory(script_.byte());
      default:
        return arrays(script_.byte());
    }
  }

  void contexts(std::uint8_t which) {
    CUcontext context = nullptr;
    std::size_t value = 0;
    switch (which % 9) {
      case 0:
        return keep(call("cuCtxCreate", &context, static_cast<void*>(nullptr), 0, script_.word(),
                         int{script_.byte() % 3}),
                    contexts_, context);
      case 1:
        call("cuCtxDestroy", one<CUcontext>(contexts_));
        return;
      case 2:
        call("cuCtxSetCurrent", one<CUcontext>(contexts_));
        return;
      case 3:
        call("cuCtxPushCurrent", one<CUcontext>(contexts_));
        return;
      case 4:
        call("cuCtxPopCurrent", &context);
        return;
      case 5:
        return keep(call("cuDevicePrimaryCtxRetain", &context, int{script_.byte() % 3}), contexts_, context);
      case 6:
        call("cuDevicePrimaryCtxRelease", int{script_.byte() % 3});
        return;
      case 7:
        call("cuCtxGetLimit", &value, script_.word());
        return;
      default:
        call("cuCtxSynchronize");
    }
  }

  void memory(std::uint8_t which) {
    CUdeviceptr made = 0;
    std::size_t pitch = 0;
    CUmemoryPool pool = nullptr;
    switch (which % 10) {
      case 0:
        return keepPointer(call("cuMemAlloc", &made, std::size_t{script_.number()}), made);
      case 1:
        call("cuMemFree", memory_.pick(script_));
        return;
      case 2:
        return keepPointer(call("cuMemAllocPitch", &made, &pitch, std::size_t{script_.number()},
                                std::size_t{script_.number()}, script_.word()),
                           made);
      case 3:
        return keepPointer(call("cuMemAllocManaged", &made, std::size_t{script_.number()}, script_.word()),
                           made);
      case 4:
        return keepPointer(call("cuMemAllocAsync", &made, std::size_t{script_.number()}, stream()), made);
      case 5:
        call("cuMemFreeAsync", memory_.pick(script_), stream());
        return;
      case 6: {
        CUmemPoolProps properties{};
        properties.allocType = 1;
        properties.location = {1, script_.byte() % 3};
        properties.maxSize = script_.number();
        return keep(call("cuMemPoolCreate", &pool, &properties), pools_, pool);
      }
      case 7:
        return keepPointer(call("cuMemAllocFromPoolAsync", &made, std::size_t{script_.number()},
                                one<CUmemoryPool>(pools_), stream()),
                           made);
      case 8:
        call("cuMemPoolDestroy", one<CUmemoryPool>(pools_));
        return;
      default:
        call("cuMemPoolTrimTo", one<CUmemoryPool>(pools_), std::size_t{script_.number()});
    }
  }

  void copies(std::uint8_t which) {
    void* host = host_.data();
    CUDA_MEMCPY3D box{};
    switch (which % 7) {
      case 0:
        call("cuMemcpyHtoD", pointer(), static_cast<const void*>(host), hostBytes());
        return;
      case 1:
        call("cuMemcpyDtoH", host, pointer(), hostBytes());
        return;
      case 2:
        call("cuMemcpyDtoDAsync", pointer(), pointer(), std::size_t{script_.number()}, stream());
        return;
      case 3:
        call("cuMemsetD8", pointer(), script_.byte(), std::size_t{script_.number()});
        return;
      case 4:
        call("cuMemsetD2D32", pointer(), std::size_t{script_.number()}, script_.word(),
             std::size_t{script_.number()}, std::size_t{script_.number()});
        return;
      case 5:
        call("cuStreamWriteValue32", stream(), pointer(), std::uint32_t{script_.byte()}, script_.word());
        return;
      default:
        box.srcMemoryType = static_cast<CUmemorytype>(script_.byte() % 2 == 0 ? 2 : 3);
        box.srcDevice = pointer();
        box.srcArray = one<CUarray>(arrays_);
        box.srcPitch = script_.number();
        box.srcHeight = script_.number();
        box.srcY = script_.number();
        box.dstMemoryType = static_cast<CUmemorytype>(script_.byte() % 2 == 0 ? 2 : 3);
        box.dstDevice = pointer();
        box.dstArray = one<CUarray>(arrays_);
        box.dstXInBytes = script_.number();
        box.dstZ = script_.number();
        box.dstPitch = script_.number();
        box.WidthInBytes = script_.number();
        box.Height = script_.number();
        box.Depth = script_.number();
        call("cuMemcpy3D", static_cast<const CUDA_MEMCPY3D*>(&box));
    }
  }

  void streams(std::uint8_t which) {
    CUstream made = nullptr;
    CUevent event = nullptr;
    CUgraph graph = nullptr;
    unsigned status = 0;
    float milliseconds = 0;
    switch (which % 12) {
      case 0:
        return keep(call("cuStreamCreateWithPriority", &made, script_.word(), int{script_.byte()}), streams_,
                    made);
      case 1:
        call("cuStreamDestroy", stream());
        return;
      case 2:
        call("cuStreamSynchronize", stream());
        return;
      case 3:
        return keep(call("cuEventCreate", &event, script_.word()), events_, event);
      case 4:
        call("cuEventDestroy", one<CUevent>(events_));
        return;
      case 5:
        call("cuEventRecord", one<CUevent>(events_), stream());
        return;
      case 6:
        call("cuStreamWaitEvent", stream(), one<CUevent>(events_), script_.word());
        return;
      case 7:
        call("cuEventElapsedTime", &milliseconds, one<CUevent>(events_), one<CUevent>(events_));
        return;
      case 8:
        call("cuStreamBeginCapture", stream(), script_.word());
        return;
      case 9:
        return keep(call("cuStreamEndCapture", stream(), &graph), graphs_, graph);
      case 10:
        call("cuStreamIsCapturing", stream(), &status);
        return;
      default:
        call("cuEventQuery", one<CUevent>(events_));
    }
  }

  void launches(std::uint8_t which) {
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    std::uint64_t words[2] = {pointer(), script_.number()};
    void* parameters[] = {&words[0], &words[1]};
    switch (which % 6) {
      case 0:
        return keep(call("cuModuleLoadData", &module, static_cast<const void*>(kText)), modules_, module);
      case 1:
        return keep(call("cuModuleGetFunction", &function, one<CUmodule>(modules_),
                         script_.byte() % 2 == 0 ? "a" : "b"),
                    functions_, function);
      case 2:
        call("cuModuleUnload", one<CUmodule>(modules_));
        return;
      case 3:
        call("cuLaunchKernel", one<CUfunction>(functions_), script_.word(), script_.word(), script_.word(),
             script_.word(), script_.word(), script_.word(), script_.word(), stream(),
             static_cast<void**>(parameters), static_cast<void**>(nullptr));
        return;
      case 4:
        call("cuLaunchCooperativeKernel", one<CUfunction>(functions_), script_.word(), 1U, 1U, script_.word(),
             1U, 1U, 0U, stream(), static_cast<void**>(parameters));
        return;
      default:
        call("cuFuncSetAttribute", one<CUfunction>(functions_), script_.word(), int{script_.byte()});
    }
  }

  void graphs(std::uint8_t which) {
    CUgraph graph = nullptr;
    CUgraphNode node = nullptr;
    CUgraphExec exec = nullptr;
    CUgraphExecUpdateResultInfo info{};
    const CUgraphNode after = one<CUgraphNode>(nodes_);
    const std::size_t count = script_.byte() % 2;
    // A graph of graphs of graphs is large soon; an input is to be over in a second.
    constexpr int kMostGraphCalls = 60;
    if (++graph_calls_ > kMostGraphCalls) return;
    switch (which % 12) {
      case 0:
        return keep(call("cuGraphCreate", &graph, unsigned{script_.byte() / 128U}), graphs_, graph);
      case 1:
        call("cuGraphDestroy", one<CUgraph>(graphs_));
        return;
      case 2:
        return keep(call("cuGraphAddEmptyNode", &node, one<CUgraph>(graphs_), &after, count), nodes_, node);
      case 3: {
        const CUDA_MEMSET_NODE_PARAMS params{pointer(), script_.number(), script_.word(),
                                             1,         script_.number(), 1};
        return keep(call("cuGraphAddMemsetNode", &node, one<CUgraph>(graphs_), &after, count, &params,
                         static_cast<CUcontext>(nullptr)),
                    nodes_, node);
      }
      case 4:
        return keep(call("cuGraphAddChildGraphNode", &node, one<CUgraph>(graphs_), &after, count,
                         one<CUgraph>(graphs_)),
                    nodes_, node);
      case 5: {
        const CUgraphNode to = one<CUgraphNode>(nodes_);
        call("cuGraphAddDependencies", one<CUgraph>(graphs_), &after, &to,
             static_cast<const CUgraphEdgeData*>(nullptr), std::size_t{1});
        return;
      }
      case 6:
        return keep(call("cuGraphInstantiate", &exec, one<CUgraph>(graphs_), 0ULL), execs_, exec);
      case 7:
        call("cuGraphLaunch", one<CUgraphExec>(execs_), stream());
        return;
      case 8:
        call("cuGraphExecUpdate", one<CUgraphExec>(execs_), one<CUgraph>(graphs_), &info);
        return;
      case 9:
        return keep(call("cuGraphClone", &graph, one<CUgraph>(graphs_)), graphs_, graph);
      case 10:
        call("cuGraphDestroyNode", one<CUgraphNode>(nodes_));
        return;
      default:
        if (call("cuGraphChildGraphNodeGetGraph", after, &graph) == CUDA_SUCCESS)
          graphs_.add(reinterpret_cast<std::uint64_t>(graph));
    }
  }

  void virtualMemory(std::uint8_t which) {
    constexpr std::size_t kUnit = 2U << 20U;
    CUdeviceptr space = 0;
    CUmemGenericAllocationHandle handle = 0;
    CUmemAllocationProp wanted{};
    wanted.type = 1;
    wanted.location = {1, script_.byte() % 3};
    const std::size_t bytes = (script_.byte() % 4) * kUnit + script_.byte() / 250;
    switch (which % 8) {
      case 0:
        return keepPointer(
            call("cuMemAddressReserve", &space, bytes, std::size_t{script_.number()}, CUdeviceptr{0}, 0ULL),
            space);
      case 1:
        call("cuMemAddressFree", memory_.pick(script_), bytes);
        return;
      case 2:
        if (call("cuMemCreate", &handle, bytes, static_cast<const CUmemAllocationProp*>(&wanted), 0ULL) ==
            CUDA_SUCCESS)
          physical_.add(handle);
        return;
      case 3:
        call("cuMemRelease", physical_.pick(script_));
        return;
      case 4:
        call("cuMemMap", memory_.pick(script_), bytes, std::size_t{script_.byte() / 255U},
             physical_.pick(script_), 0ULL);
        return;
      case 5:
        call("cuMemUnmap", memory_.pick(script_), bytes);
        return;
      case 6: {
        const CUmemAccessDesc access{wanted.location, script_.byte() % 5U};
        call("cuMemSetAccess", memory_.pick(script_), bytes, &access, std::size_t{1});
        return;
      }
      default: {
        void* address = reinterpret_cast<void*>(pointer());  // NOLINT(performance-no-int-to-ptr)
        if (call("cuMemRetainAllocationHandle", &handle, address) == CUDA_SUCCESS) physical_.add(handle);
      }
    }
  }

  void arrays(std::uint8_t which) {
    CUarray array = nullptr;
    CUmipmappedArray mipmap = nullptr;
    CUDA_ARRAY3D_DESCRIPTOR wanted{script_.number(), script_.number(),
                                   script_.number(), static_cast<CUarray_format>(script_.byte()),
                                   script_.word(),   script_.word()};
    switch (which % 5) {
      case 0:
        return keep(call("cuArray3DCreate", &array, static_cast<const CUDA_ARRAY3D_DESCRIPTOR*>(&wanted)),
                    arrays_, array);
      case 1:
        call("cuArrayDestroy", one<CUarray>(arrays_));
        return;
      case 2:
        return keep(call("cuMipmappedArrayCreate", &mipmap,
                         static_cast<const CUDA_ARRAY3D_DESCRIPTOR*>(&wanted), script_.word()),
                    mipmaps_, mipmap);
      case 3:
        return keep(call("cuMipmappedArrayGetLevel", &array, one<CUmipmappedArray>(mipmaps_), script_.word()),
                    arrays_, array);
      default:
        call("cuMipmappedArrayDestroy", one<CUmipmappedArray>(mipmaps_));
    }
  }

  Script& script_;
  int graph_calls_ = 0;
  std::array<std::byte, 65536> host_{};
  Handles contexts_;
  Handles memory_;
  Handles pools_;
  Handles streams_;
  Handles events_;
  Handles modules_;
  Handles functions_;
  Handles graphs_;
  Handles nodes_;
  Handles execs_;
  Handles physical_;
  Handles arrays_;
  Handles mipmaps_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<FakeGpu> gpus{berth::sim::testing::smallGpu(), berth::sim::testing::smallGpu()};
  require(Driver::start(berth::sim::testing::makeFakeEngine(gpus)) == CUDA_SUCCESS);
  {
    // Most inputs need a context before anything else happens.
    CUcontext context = nullptr;
    require(call("cuCtxCreate", &context, static_cast<void*>(nullptr), 0, 0U, 0) == CUDA_SUCCESS);
    Script script(data, size);
    Machine(script).run();
  }
  Driver::reset();
  for (const FakeGpu& gpu : gpus) require(gpu.sessions == 0 && gpu.reserved == 0);
  return 0;
}
