#include "guard/tests/under_guard.h"

#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard/accounting.h"

namespace berth::guard::testing {
namespace {

std::filesystem::path folder() { return std::getenv("BERTH_GUARD_TEST_DIR"); }
constexpr std::size_t kGpus = 2;

LimitsFile limits() {
  auto file = LimitsFile::open(folder() / "limits");
  EXPECT_TRUE(file) << file.error().message;
  return *std::move(file);
}

}  // namespace

void grant(std::size_t gpu, const GpuShare& share) { limits().setShare(gpu, share); }

void tellContextBytes(std::size_t gpu, std::uint64_t bytes) {
  limits().setFeedback(gpu, {.charge_permille = 1000, .contenders = 0, .context_bytes = bytes});
}

std::vector<ProcessUsage> usage() {
  auto processes = readUsageFile(folder() / "usage", kGpus);
  EXPECT_TRUE(processes) << processes.error().message;
  return processes ? *std::move(processes) : std::vector<ProcessUsage>{};
}

ProcessGpuUsage own(std::size_t gpu, bool* reported) {
  if (reported != nullptr) *reported = false;
  for (const ProcessUsage& process : usage()) {
    if (process.owner.pid != static_cast<std::uint32_t>(::getpid())) continue;
    if (reported != nullptr) *reported = true;
    return process.gpus[gpu];
  }
  return {};
}

std::uint64_t counted(std::size_t gpu) { return own(gpu).bytes; }

namespace {

UsageRegion* mappedUsage() {
  static UsageRegion* const region = [] {
    const int fd = ::open((folder() / "usage").c_str(), O_RDWR | O_CLOEXEC);
    void* base = ::mmap(nullptr, usageBytes(kGpus), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    return base != MAP_FAILED ? static_cast<UsageRegion*>(base) : nullptr;
  }();
  return region;
}

/// As in the beginning: nothing is known of what contexts cost.
void forgetContextCosts() {
  for (std::size_t i = 0; i < kGpus; ++i) {
    tellContextBytes(i, 0);
    mappedUsage()->gpu(i).context_bytes = 0;
  }
}

}  // namespace

std::uint64_t containerBytes(std::size_t gpu) {
  UsageRegion* region = mappedUsage();
  return region != nullptr ? Accounting(*region, gpu).used() * kGranule : ~std::uint64_t{0};
}

void UnderGuard::SetUp() {
  for (std::size_t i = 0; i < kGpus; ++i) grant(i, {});
  CudaTest::SetUp();
}

void UnderGuard::TearDown() {
  for (std::size_t i = 0; i < kGpus; ++i) grant(i, {});
  forgetContextCosts();
  CudaTest::TearDown();
}

int UnderGuard::runSelf(const char* reach, const std::vector<std::string>& environment) const {
  const std::size_t free_before = freeBytes();
  const pid_t child = ::fork();
  if (child == 0) {
    for (const std::string& setting : environment) ::putenv(const_cast<char*>(setting.c_str()));
    ::execl("/proc/self/exe", "guard_hooks_test", reach, static_cast<char*>(nullptr));
    ::_exit(126);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  // The simulated driver looks for the dead every now and then.
  for (int i = 0; i < 1000 && freeBytes() != free_before; ++i) ::usleep(1000);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace berth::guard::testing

int main(int argc, char** argv) {
  if (std::getenv("BERTH_GUARD_TEST_DIR") == nullptr) {
    std::vector<char*> command{const_cast<char*>(GUARD_RUN)};
    std::string self = std::filesystem::read_symlink("/proc/self/exe");
    command.push_back(self.data());
    for (int i = 1; i < argc; ++i) command.push_back(argv[i]);
    command.push_back(nullptr);
    ::execv(GUARD_RUN, command.data());
    return 126;
  }
  if (argc == 2 && std::strncmp(argv[1], "--", 2) != 0) return berth::guard::testing::reached(argv[1]);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
