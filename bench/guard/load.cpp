// guard_load PATTERN KERNEL_US START_NS SECONDS: uses the simulated GPU from START (CLOCK_MONOTONIC) for so
// long, then prints the GPU time of its finished kernels, "bins N N ...", in microseconds for each 10 ms
// since START. A kernel costs what it costs whoever measures it, so these are the truth about its share.
//
// PATTERN: plain, graph, cooperative: as much as it can; bursty: 60 ms of work at once, then nothing for 0 to
// 60 ms; modest: a tenth of the GPU, evenly.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include <dlfcn.h>

#include "simdriver/cuda/cuda_abi.h"

namespace {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): the ABI's own names

constexpr std::uint64_t kBinNs = 10'000'000;
constexpr std::size_t kInFlight = 4;
constexpr int kKernelsOfGraph = 4;
constexpr unsigned kBlocks = 4096;  // Fill any GPU
constexpr unsigned kThreads = 256;

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

void sleepUntil(std::uint64_t when) {
  const timespec time{static_cast<time_t>(when / 1'000'000'000), static_cast<long>(when % 1'000'000'000)};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

class Gpu {
 public:
  explicit Gpu(unsigned kernel_us) {
    must("cuInit", 0U);
    must("cuDevicePrimaryCtxRetain", &context_, 0);
    must("cuCtxSetCurrent", context_);
    const std::string ptx = ".version 6.0\n.target sm_50\n.address_size 64\n// berth-cost: ns=" +
                            std::to_string(kernel_us * 1000) + "\n.visible .entry busy()\n{ ret; }\n";
    CUmodule module = nullptr;
    must("cuModuleLoadData", &module, static_cast<const void*>(ptx.c_str()));
    must("cuModuleGetFunction", &kernel_, module, "busy");
    must("cuStreamCreate", &stream_, kStreamNonBlocking);
  }
  template <typename... Args>
  void must(const char* name, Args... args) const {
    const auto function = reinterpret_cast<CUresult (*)(Args...)>(::dlsym(library_, name));
    const CUresult result = function != nullptr ? function(args...) : CUDA_ERROR_NOT_FOUND;
    if (result == CUDA_SUCCESS) return;
    std::fprintf(stderr, "guard_load: %s answers %u\n", name, result);
    std::exit(1);
  }
  void launch() const {
    must("cuLaunchKernel", kernel_, kBlocks, 1U, 1U, kThreads, 1U, 1U, 0U, stream_,
         static_cast<void**>(nullptr), static_cast<void**>(nullptr));
  }
  void launchCooperative() const {
    must("cuLaunchCooperativeKernel", kernel_, 40U, 1U, 1U, kThreads, 1U, 1U, 0U, stream_,
         static_cast<void**>(nullptr));
  }
  CUgraphExec graph() const {
    CUgraph graph = nullptr;
    CUgraphExec ready = nullptr;
    must("cuStreamBeginCapture_v2", stream_, 0U);
    for (int i = 0; i < kKernelsOfGraph; ++i) launch();
    must("cuStreamEndCapture", stream_, &graph);
    must("cuGraphInstantiateWithFlags", &ready, graph, 0ULL);
    return ready;
  }
  void launchGraph(CUgraphExec graph) const { must("cuGraphLaunch", graph, stream_); }
  CUevent event() const {
    CUevent made = nullptr;
    must("cuEventCreate", &made, 0U);
    return made;
  }
  void record(CUevent event) const { must("cuEventRecord", event, stream_); }
  void await(CUevent event) const { must("cuEventSynchronize", event); }

 private:
  void* library_ = ::dlopen("libcuda.so.1", RTLD_NOW);
  CUcontext context_ = nullptr;
  CUfunction kernel_ = nullptr;
  CUstream stream_ = nullptr;
};

/// Launches that are under way, and what of them has finished when.
class Work {
 public:
  Work(const Gpu& gpu, std::uint64_t start, std::uint64_t end)
      : gpu_(gpu), start_(start), bins_((end - start) / kBinNs + 1) {
    for (Entry& entry : entries_) entry.event = gpu.event();
  }
  /// After a launch of `us` microseconds of GPU time; waits for the one kInFlight before it.
  void launched(unsigned us) {
    Entry& entry = entries_[next_++ % kInFlight];
    gpu_.record(entry.event);
    entry.us = us;
    finish(entries_[next_ % kInFlight]);
  }
  void drain() {
    for (std::size_t i = 0; i < kInFlight; ++i) finish(entries_[next_++ % kInFlight]);
  }
  void print() const {
    std::printf("bins");
    for (const std::uint64_t us : bins_) std::printf(" %llu", static_cast<unsigned long long>(us));
    std::printf("\n");
  }

 private:
  struct Entry {
    CUevent event = nullptr;
    unsigned us = 0;
  };
  void finish(Entry& entry) {
    if (entry.us == 0) return;
    gpu_.await(entry.event);
    const std::size_t bin = (now() - start_) / kBinNs;
    if (bin < bins_.size()) bins_[bin] += entry.us;
    entry.us = 0;
  }

  const Gpu& gpu_;
  std::uint64_t start_;
  std::vector<std::uint64_t> bins_;
  std::array<Entry, kInFlight> entries_;
  std::size_t next_ = 0;
};

struct Load {
  std::string pattern;
  unsigned kernel_us;
  std::uint64_t start;
  std::uint64_t end;
};

void run(const Gpu& gpu, const Load& load, Work& work) {
  const CUgraphExec graph = load.pattern == "graph" ? gpu.graph() : nullptr;
  std::minstd_rand random(7);
  sleepUntil(load.start);
  std::uint64_t burst = 0;
  while (now() < load.end) {
    unsigned us = load.kernel_us;
    if (graph != nullptr) {
      gpu.launchGraph(graph);
      us *= kKernelsOfGraph;
    } else if (load.pattern == "cooperative") {
      gpu.launchCooperative();
    } else {
      gpu.launch();
    }
    work.launched(us);
    burst += us;
    if (load.pattern == "modest") {
      work.drain();
      sleepUntil(now() + std::uint64_t{us} * 1000 * 9);
    }
    if (load.pattern == "bursty" && burst >= 60'000) {
      work.drain();
      sleepUntil(now() + random() % 60'000'000);
      burst = 0;
    }
  }
  work.drain();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: guard_load PATTERN KERNEL_US START_NS SECONDS\n");
    return 2;
  }
  Load load{argv[1], static_cast<unsigned>(std::stoul(argv[2])), std::stoull(argv[3]), 0};
  load.end = load.start + static_cast<std::uint64_t>(std::stod(argv[4]) * 1e9);
  const Gpu gpu(load.kernel_us);
  Work work(gpu, load.start, load.end);
  run(gpu, load, work);
  work.print();
  return 0;
}
