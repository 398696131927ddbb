// A program for containers with limits: it uses the GPU as CUDA programs do, by dlopen, and prints what it
// gets. One line for each answer, words and numbers; exit status 1 when the driver fails where it must not.
//
//   memory        total and free of cuMemGetInfo, total of NVML, in bytes: "memory T F N"
//   fill          allocates until it is refused: "filled BYTES code CODE", then waits until it is killed
//   killed BYTES  a child takes BYTES and is killed; how long until this process can have them: "back MS"
//   spin SECONDS  keeps the GPU busy: every half second "share END_MS PERMILLE", of the whole GPU's time
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What a launch of the kernel takes on the whole GPU: "berth-cost" is the simulated driver's to read. Long
// beside what a busy machine lets a program wait for its processor.
constexpr double kLaunchMs = 10;
constexpr const char* kPtx =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    "// berth-cost: ns=10000000\n"
    ".visible .entry busy()\n{\n    ret;\n}\n";
constexpr unsigned kBlocks = 4096;
constexpr unsigned kThreads = 256;
constexpr int kInFlight = 4;
constexpr std::size_t kChunk = std::size_t{4} << 20;

[[noreturn]] void die(const char* what, int code) {
  std::printf("failed %s %d\n", what, code);
  std::exit(1);
}

template <typename... Arguments>
int call(void* library, const char* name, Arguments... arguments) {
  using Function = int (*)(Arguments...);
  const auto function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) die(name, -1);
  return function(arguments...);
}

template <typename... Arguments>
void must(void* library, const char* name, Arguments... arguments) {
  if (const int code = call(library, name, arguments...); code != 0) die(name, code);
}

void* open(const char* name) {
  void* library = ::dlopen(name, RTLD_NOW);
  if (library == nullptr) die(name, 0);
  return library;
}

/// The driver with a current context.
void* openCuda() {
  void* cuda = open("libcuda.so.1");
  int device = 0;
  void* context = nullptr;
  must(cuda, "cuInit", 0U);
  must(cuda, "cuDeviceGet", &device, 0);
  must(cuda, "cuDevicePrimaryCtxRetain", &context, device);
  must(cuda, "cuCtxSetCurrent", context);
  return cuda;
}

int memory() {
  void* cuda = openCuda();
  std::size_t total = 0;
  std::size_t free = 0;
  must(cuda, "cuMemGetInfo_v2", &free, &total);
  void* nvml = open("libnvidia-ml.so.1");
  void* device = nullptr;
  std::array<unsigned long long, 3> info{};  // total, free, used
  must(nvml, "nvmlInit_v2");
  must(nvml, "nvmlDeviceGetHandleByIndex_v2", 0U, &device);
  must(nvml, "nvmlDeviceGetMemoryInfo", device, info.data());
  std::printf("memory %zu %zu %llu\n", total, free, info[0]);
  return 0;
}

int fill() {
  void* cuda = openCuda();
  unsigned long long pointer = 0;
  std::size_t filled = 0;
  int code = 0;
  while ((code = call(cuda, "cuMemAlloc_v2", &pointer, kChunk)) == 0) filled += kChunk;
  std::printf("filled %zu code %d\n", filled, code);
  std::fflush(stdout);
  while (true) ::pause();
}

/// In the child: takes the memory, says so and waits for its end.
[[noreturn]] void takeAndWait(std::size_t bytes, int tell) {
  void* cuda = openCuda();
  unsigned long long pointer = 0;
  must(cuda, "cuMemAlloc_v2", &pointer, bytes);
  if (::write(tell, "x", 1) != 1) std::exit(1);
  while (true) ::pause();
}

int killed(std::size_t bytes) {
  std::array<int, 2> ready{};
  if (::pipe(ready.data()) != 0) return 1;
  const pid_t child = ::fork();
  if (child == 0) takeAndWait(bytes, ready[1]);
  ::close(ready[1]);
  char byte = 0;
  if (::read(ready[0], &byte, 1) != 1) die("child", 0);
  void* cuda = openCuda();
  unsigned long long pointer = 0;
  if (call(cuda, "cuMemAlloc_v2", &pointer, bytes) == 0) die("limit", 0);
  ::kill(child, SIGKILL);
  const auto from = Clock::now();
  while (call(cuda, "cuMemAlloc_v2", &pointer, bytes) != 0) {
    if (Clock::now() - from > std::chrono::seconds(10)) die("back", 0);
  }
  const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - from);
  std::printf("back %lld\n", static_cast<long long>(took.count()));
  ::waitpid(child, nullptr, 0);
  return 0;
}

struct Spinner {
  void* cuda = openCuda();
  void* function = nullptr;
  std::array<void*, kInFlight> events{};

  Spinner() {
    void* module = nullptr;
    must(cuda, "cuModuleLoadData", &module, static_cast<const void*>(kPtx));
    must(cuda, "cuModuleGetFunction", &function, module, "busy");
    for (void*& event : events) must(cuda, "cuEventCreate", &event, 2U);
  }

  /// Launches once, behind at most kInFlight others: returns when the oldest of those is done.
  void launch(std::uint64_t number) {
    void* event = events[number % kInFlight];
    if (number >= kInFlight) must(cuda, "cuEventSynchronize", event);
    void* const none = nullptr;
    must(cuda, "cuLaunchKernel", function, kBlocks, 1U, 1U, kThreads, 1U, 1U, 0U, none, none, none);
    must(cuda, "cuEventRecord", event, none);
  }
};

int spin(std::chrono::seconds time) {
  Spinner spinner;
  constexpr milliseconds kWindow{500};
  const auto end = Clock::now() + time;
  std::uint64_t launches = 0;
  for (auto from = Clock::now(); from < end;) {
    const std::uint64_t before = launches;
    auto now = from;
    while (now - from < kWindow) {
      spinner.launch(launches++);
      now = Clock::now();
    }
    const double elapsed_ms = std::chrono::duration<double, std::milli>(now - from).count();
    const double permille = 1000 * kLaunchMs * static_cast<double>(launches - before) / elapsed_ms;
    const auto at = std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count();
    std::printf("share %lld %.0f\n", static_cast<long long>(at), permille);
    std::fflush(stdout);
    from = now;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const unsigned long long value = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (verb == "memory") return memory();
  if (verb == "fill") return fill();
  if (verb == "killed") return killed(value);
  if (verb == "spin") return spin(std::chrono::seconds(value));
  std::printf("usage: quota_probe memory|fill|killed BYTES|spin SECONDS\n");
  return 2;
}
