// nbody: the all-pairs n-body simulation that shows what a share of a GPU is worth. Output as NVIDIA's sample
// of that name has it, so that scripts and people read both.
#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../common/cuda.h"
#include "bodies.h"
#include "nbody_ptx.h"
#include "options.h"

namespace {

using namespace berth::samples;
using namespace berth::sim::cu;

constexpr unsigned kBlock = 256;
constexpr std::uint32_t kCompareBodies = 1024;
constexpr double kFlopPerInteraction = 20;
/// Relative to a system of size 1, after a few steps in single precision.
constexpr double kTolerance = 1e-3;
/// Launches queued at most before the oldest must be done: the queue stays full without growing with -i.
constexpr std::uint32_t kBatch = 32;

class Program {
 public:
  Program(const Cuda& cuda, const NbodyOptions& options) : cuda_(cuda), options_(options) {}

  int run() {
    openDevice();
    loadKernel();
    const bool good = options_.compare ? compare() : benchmark();
    check(cuda_.mem_free(buffers_[0]), "freeing memory");
    check(cuda_.mem_free(buffers_[1]), "freeing memory");
    check(cuda_.mem_free(velocities_), "freeing memory");
    check(cuda_.primary_release(device_), "releasing the device");
    return good ? 0 : 1;
  }

 private:
  void check(CUresult code, const char* doing) const { berth::samples::check(cuda_, code, doing); }

  int attribute(unsigned which) const {
    int value = 0;
    check(cuda_.device_get_attribute(&value, which, device_), "asking about the device");
    return value;
  }

  void openDevice() {
    check(cuda_.init(0), "initialising CUDA");
    int count = 0;
    check(cuda_.device_get_count(&count), "counting devices");
    if (options_.device >= count) {
      throw CallError{"there is no device " + std::to_string(options_.device) + ", only " +
                      std::to_string(count)};
    }
    check(cuda_.device_get(&device_, options_.device), "opening the device");
    CUcontext context = nullptr;
    check(cuda_.primary_retain(&context, device_), "opening the device");
    check(cuda_.set_current(context), "opening the device");
    std::array<char, 256> name{};
    check(cuda_.device_get_name(name.data(), static_cast<int>(name.size()), device_), "asking for the name");
    std::printf("> Windowed mode\n> Simulation data stored in video memory\n");
    std::printf("> Single precision floating point simulation\n> 1 Devices used for simulation\n");
    std::printf("> Compute %d.%d CUDA device: [%s]\n",
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), name.data());
    std::fflush(stdout);
    bodies_ = options_.bodies;
    if (bodies_ == 0) {
      bodies_ = options_.compare
                    ? kCompareBodies
                    : static_cast<std::uint32_t>(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)) * 1024;
    }
  }

  void loadKernel() {
    CUmodule module = nullptr;
    check(cuda_.module_load_data(&module, kNbodyPtx), "loading the kernel");
    check(cuda_.module_get_function(&function_, module, "integrateBodies"), "loading the kernel");
    check(cuda_.stream_create(&stream_, 0), "creating a stream");
    const std::size_t bytes = std::size_t{bodies_} * sizeof(Body);
    for (CUdeviceptr* buffer : {&buffers_[0], &buffers_[1], &velocities_})
      check(cuda_.mem_alloc(buffer, bytes), "allocating memory");
    system_ = makeSystem(bodies_);
    check(cuda_.copy_to_device(buffers_[0], system_.positions.data(), bytes), "copying to the device");
    check(cuda_.copy_to_device(velocities_, system_.velocities.data(), bytes), "copying to the device");
  }

  void launch() {
    CUdeviceptr moved = buffers_[1 - newest_];
    CUdeviceptr positions = buffers_[newest_];
    void* parameters[] = {&moved,
                          &positions,
                          &velocities_,
                          &bodies_,
                          &constants_.time_step,
                          &constants_.damping,
                          &constants_.softening_squared};
    check(cuda_.launch_kernel(function_, (bodies_ + kBlock - 1) / kBlock, 1, 1, kBlock, 1, 1, 0, stream_,
                              parameters, nullptr),
          "launching the kernel");
    newest_ = 1 - newest_;
  }

  /// Queues all iterations, with at most two batches of them outstanding.
  void launchAll() {
    std::array<CUevent, 2> marks{};
    for (CUevent& mark : marks) check(cuda_.event_create(&mark, 0), "creating an event");
    for (std::uint32_t i = 0; i < options_.iterations; ++i) {
      if (i % kBatch == 0) {
        const CUevent mark = marks[i / kBatch % marks.size()];
        // The mark was last recorded two batches ago; before that the wait is for nothing.
        check(cuda_.event_synchronize(mark), "waiting for the device");
        check(cuda_.event_record(mark, stream_), "recording an event");
      }
      launch();
    }
  }

  bool benchmark() {
    // Once outside of the measurement: the first launch of a kernel is not like the others.
    launch();
    check(cuda_.stream_synchronize(stream_), "waiting for the device");
    CUevent start = nullptr;
    CUevent stop = nullptr;
    check(cuda_.event_create(&start, 0), "creating an event");
    check(cuda_.event_create(&stop, 0), "creating an event");
    check(cuda_.event_record(start, stream_), "recording an event");
    launchAll();
    check(cuda_.event_record(stop, stream_), "recording an event");
    check(cuda_.event_synchronize(stop), "waiting for the device");
    float milliseconds = 0;
    check(cuda_.event_elapsed(&milliseconds, start, stop), "asking for the time");
    report(static_cast<double>(milliseconds));
    return true;
  }

  void report(double milliseconds) const {
    const double per_step = static_cast<double>(bodies_) * static_cast<double>(bodies_);
    const double interactions = per_step * options_.iterations / (milliseconds * 1e-3) * 1e-9;
    std::printf("%u bodies, total time for %u iterations: %.3f ms\n", bodies_, options_.iterations,
                milliseconds);
    std::printf("= %.3f billion interactions per second\n", interactions);
    std::printf("= %.3f single-precision GFLOP/s at %.0f flops per interaction\n",
                interactions * kFlopPerInteraction, kFlopPerInteraction);
  }

  bool compare() {
    launchAll();
    check(cuda_.stream_synchronize(stream_), "waiting for the device");
    std::vector<Body> result(bodies_);
    check(cuda_.copy_to_host(result.data(), buffers_[newest_], result.size() * sizeof(Body)),
          "copying from the device");
    for (std::uint32_t i = 0; i < options_.iterations; ++i) step(system_, constants_);
    const double difference = largestDifference(result, system_.positions);
    const bool good = difference <= kTolerance;  // False for NaN
    std::printf("%u bodies, %u iterations: largest difference between GPU and CPU %.3g\n  %s\n", bodies_,
                options_.iterations, difference, good ? "OK" : "FAILED");
    return good;
  }

  const Cuda& cuda_;
  const NbodyOptions& options_;
  CUdevice device_ = 0;
  CUfunction function_ = nullptr;
  CUstream stream_ = nullptr;
  std::array<CUdeviceptr, 2> buffers_{};
  CUdeviceptr velocities_ = 0;
  std::size_t newest_ = 0;
  std::uint32_t bodies_ = 0;
  StepConstants constants_;
  System system_;
};

}  // namespace

int main(int argc, char** argv) {
  const NbodyOptions options = parseOptions({argv + 1, argv + argc});
  if (!options.error.empty()) {
    std::fprintf(stderr, "nbody: %s\nTry 'nbody -help'.\n", options.error.c_str());
    return 2;
  }
  if (options.help) {
    std::fputs(kNbodyUsage, stdout);
    return 0;
  }
  std::string error;
  const std::optional<Cuda> cuda = loadCuda(error);
  if (!cuda) {
    std::fprintf(stderr, "nbody: no CUDA driver: %s\n", error.c_str());
    return 1;
  }
  try {
    return Program(*cuda, options).run();
  } catch (const CallError& failure) {
    std::fprintf(stderr, "nbody: %s\n", failure.message.c_str());
    return 1;
  }
}
