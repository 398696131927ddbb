#include "gpu_load.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace berth::samples {

using namespace sim::cu;  // NOLINT(google-build-using-namespace): the ABI's names

namespace {

constexpr unsigned kBlock = 1024;  // Fills an SM of a T4; two fit on larger ones
constexpr std::uint64_t kChunkMib = 256;
constexpr std::uint64_t kMib = 1ULL << 20;
constexpr std::uint32_t kFirstIterations = 20'000;
constexpr int kCalibrationRounds = 8;
constexpr double kCloseEnough = 0.02;

constexpr const char* kKernelText = R"(
.visible .entry berthLoad(.param .u64 sink, .param .u32 iterations)
{
    .reg .pred %p<3>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    .reg .f32 %f<4>;

    ld.param.u64 %rd1, [sink];
    ld.param.u32 %r1, [iterations];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r2, %tid.x;
    cvt.rn.f32.u32 %f1, %r2;
    mov.f32 %f2, 0f3F000000;
    mov.u32 %r3, 0;
ROUND:
    setp.ge.u32 %p1, %r3, %r1;
    @%p1 bra DONE;
    fma.rn.f32 %f1, %f1, %f2, %f2;
    add.u32 %r3, %r3, 1;
    bra ROUND;
DONE:
    // The result is never negative: the store keeps the loop, and is not made.
    setp.lt.f32 %p2, %f1, 0f00000000;
    @%p2 st.global.f32 [%rd2], %f1;
    ret;
}
)";

}  // namespace

std::string loadKernel(double nanoseconds) {
  std::array<char, 64> hint{};
  std::snprintf(hint.data(), hint.size(), "// berth-cost: ns=%.0f\n", nanoseconds);
  return std::string(".version 6.0\n.target sm_50\n.address_size 64\n") + hint.data() + kKernelText;
}

GpuLoad::GpuLoad(const Cuda& cuda, const LoadOptions& options) : cuda_(cuda), options_(options) {
  openDevice();
  loadModule();
  allocate();
  iterations_ = options.iterations;
  if (iterations_ == 0) calibrate();
}

GpuLoad::~GpuLoad() {
  if (context_ != nullptr) static_cast<void>(cuda_.primary_release(device_));
}

void GpuLoad::enter() const { check(cuda_, cuda_.set_current(context_), "opening the device"); }

void GpuLoad::openDevice() {
  check(cuda_, cuda_.init(0), "initialising CUDA");
  int count = 0;
  check(cuda_, cuda_.device_get_count(&count), "counting devices");
  if (options_.device >= count) {
    throw CallError{"there is no device " + std::to_string(options_.device) + ", only " +
                    std::to_string(count)};
  }
  check(cuda_, cuda_.device_get(&device_, options_.device), "opening the device");
  std::array<char, 256> name{};
  check(cuda_, cuda_.device_get_name(name.data(), static_cast<int>(name.size()), device_),
        "asking for the name");
  name_ = name.data();
  int sms = 0;
  check(cuda_, cuda_.device_get_attribute(&sms, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device_),
        "asking about the device");
  sms_ = options_.sms == 0 ? static_cast<std::uint32_t>(sms)
                           : std::min(options_.sms, static_cast<std::uint32_t>(sms));
  check(cuda_, cuda_.primary_retain(&context_, device_), "opening the device");
  enter();
}

void GpuLoad::loadModule() {
  CUmodule module = nullptr;
  const std::string text = loadKernel(options_.kernel_us * 1e3);
  check(cuda_, cuda_.module_load_data(&module, text.c_str()), "loading the kernel");
  check(cuda_, cuda_.module_get_function(&function_, module, "berthLoad"), "loading the kernel");
}

/// In chunks, as programs do: one range of 10 GiB is not to be had on a GPU that is in use.
void GpuLoad::allocate() {
  check(cuda_, cuda_.mem_alloc(&sink_, sizeof(float)), "allocating memory");
  for (std::uint64_t left = options_.memory_mib; left > 0; left -= std::min(left, kChunkMib)) {
    const std::size_t bytes = std::min(left, kChunkMib) * kMib;
    CUdeviceptr chunk = 0;
    check(cuda_, cuda_.mem_alloc(&chunk, bytes), "allocating the working set");
    memory_.push_back(chunk);
    // The first page of each is enough to make sure of it.
    check(cuda_, cuda_.fill(chunk, 0, std::min<std::size_t>(bytes, 4096)), "filling the working set");
  }
}

void GpuLoad::launch(CUstream stream) const {
  CUdeviceptr sink = sink_;
  std::uint32_t iterations = iterations_;
  void* parameters[] = {&sink, &iterations};
  const CUresult result =
      options_.launch == Launch::Cooperative
          ? cuda_.launch_cooperative(function_, sms_, 1, 1, kBlock, 1, 1, 0, stream, parameters)
          : cuda_.launch_kernel(function_, sms_, 1, 1, kBlock, 1, 1, 0, stream, parameters, nullptr);
  check(cuda_, result, "launching the kernel");
}

double GpuLoad::measure(CUstream stream) const {
  std::array<CUevent, 2> marks{};
  for (CUevent& mark : marks) check(cuda_, cuda_.event_create(&mark, 0), "creating an event");
  check(cuda_, cuda_.event_record(marks[0], stream), "recording an event");
  launch(stream);
  check(cuda_, cuda_.event_record(marks[1], stream), "recording an event");
  check(cuda_, cuda_.event_synchronize(marks[1]), "waiting for the device");
  float milliseconds = 0;
  check(cuda_, cuda_.event_elapsed(&milliseconds, marks[0], marks[1]), "asking for the time");
  return std::max(1e-3, static_cast<double>(milliseconds)) * 1e3;
}

/// Finds how many rounds take the wanted time. The first launch is not like the others and is not measured.
void GpuLoad::calibrate() {
  constexpr double kMost = 4e9;
  CUstream stream = nullptr;
  check(cuda_, cuda_.stream_create(&stream, kStreamNonBlocking), "creating a stream");
  iterations_ = kFirstIterations;
  static_cast<void>(measure(stream));
  for (int round = 0; round < kCalibrationRounds; ++round) {
    const double factor = options_.kernel_us / measure(stream);
    if (std::abs(factor - 1) < kCloseEnough) break;
    iterations_ = static_cast<std::uint32_t>(std::clamp(iterations_ * factor, 1.0, kMost));
  }
}

LoadStream::LoadStream(const GpuLoad& load) : load_(load) {
  const Cuda& cuda = load.cuda_;
  check(cuda, cuda.stream_create(&stream_, kStreamNonBlocking), "creating a stream");
  check(cuda, cuda.event_create(&start_, 0), "creating an event");
  check(cuda, cuda.event_create(&stop_, 0), "creating an event");
  if (load.options_.launch != Launch::Graph) return;
  CUgraph graph = nullptr;
  check(cuda, cuda.begin_capture(stream_, CU_STREAM_CAPTURE_MODE_RELAXED), "capturing the kernels");
  submit();
  check(cuda, cuda.end_capture(stream_, &graph), "capturing the kernels");
  check(cuda, cuda.graph_instantiate(&graph_, graph, 0), "making the graph ready");
}

void LoadStream::submit() {
  for (std::uint32_t i = 0; i < load_.options_.kernels; ++i) load_.launch(stream_);
}

double LoadStream::run() {
  const Cuda& cuda = load_.cuda_;
  check(cuda, cuda.event_record(start_, stream_), "recording an event");
  if (graph_ != nullptr) {
    check(cuda, cuda.graph_launch(graph_, stream_), "launching the graph");
  } else {
    submit();
  }
  check(cuda, cuda.event_record(stop_, stream_), "recording an event");
  check(cuda, cuda.event_synchronize(stop_), "waiting for the device");
  float milliseconds = 0;
  check(cuda, cuda.event_elapsed(&milliseconds, start_, stop_), "asking for the time");
  return static_cast<double>(milliseconds);
}

}  // namespace berth::samples
