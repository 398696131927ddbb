// Drives berth::vfio by hand inside the test machine of vfio.sh: plans, takes, opens, gives back, and dies
// where told.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu/vfio/group.h"
#include "gpu/vfio/move.h"
#include "gpu/vfio/plan.h"
#include "gpu/vfio/sysfs_settings.h"
#include "gpu/vfio/users.h"
#include "os/files.h"
#include "os/process.h"
#include "os/unique_fd.h"

namespace {

using namespace berth;        // NOLINT(google-build-using-namespace): a program of one file.
using namespace berth::vfio;  // NOLINT(google-build-using-namespace)

constexpr const char* kUsage =
    "usage: vfio_move plan ADDRESS...\n"
    "       vfio_move take JOURNAL [--kill-at N] ADDRESS...\n"
    "       vfio_move back JOURNAL [--kill-at N] [--deadline-ms N]\n"
    "       vfio_move open ADDRESS [hold]\n"
    "  --kill-at N: SIGKILL for this process at the N-th write, odd before it and even after it\n";

const std::vector<gpu::PciId> kStandIns{{0x1234, 0x11e8}};

/// A journal in a file.
class FileJournal final : public MoveJournal {
 public:
  explicit FileJournal(std::filesystem::path file) : file_(std::move(file)) {}

  Result<void> put(const JournalEntry& entry) override {
    const auto at = static_cast<std::size_t>(entry.seq);
    if (at == entries_.size()) entries_.emplace_back();
    entries_.at(at) = entry;
    return os::writeFileAtomically(file_, encodeJournal(entries_), 0600);
  }

  Result<void> load() {
    TRY(const std::string text, os::readFile(file_, 65536));
    TRY(entries_, decodeJournal(text));
    return {};
  }

  std::vector<JournalEntry> entries() const { return entries_; }

 private:
  std::filesystem::path file_;
  std::vector<JournalEntry> entries_;
};

/// The real writer, and a death at one of its writes.
class MortalWriter final : public SysfsWriter {
 public:
  MortalWriter(SysfsWriter& real, std::optional<int> kill_at) : real_(real), kill_at_(kill_at) {}

  Result<void> write(const std::filesystem::path& file, const std::string& text, const PciAddress& device,
                     Deadline deadline) override {
    ++moment_;
    if (kill_at_ == moment_) ::kill(::getpid(), SIGKILL);
    Result<void> written = real_.write(file, text, device, deadline);
    ++moment_;
    if (kill_at_ == moment_) ::kill(::getpid(), SIGKILL);
    return written;
  }
  Result<std::vector<std::int64_t>> pending(const PciAddress& device) override {
    return real_.pending(device);
  }

 private:
  SysfsWriter& real_;
  std::optional<int> kill_at_;
  int moment_ = 0;
};

int tell(const Error& error) {
  std::fprintf(stderr, "%s %s\n", error.reason.empty() ? "Error" : error.reason.c_str(),
               error.message.c_str());
  for (const ErrorDetail& detail : error.details) {
    std::fprintf(stderr, "  %s: %s; %s\n", detail.target.c_str(), detail.message.c_str(),
                 detail.remedy.c_str());
  }
  return error.code == ErrorCode::Refused ? 3 : 1;
}

Result<void> checkUsers(const std::vector<PciAddress>& devices) {
  DeviceNumbers numbers;
  for (const PciAddress& device : devices) {
    TRY(const DeviceNumbers some, deviceNumbers(device));
    numbers.insert(some.begin(), some.end());
  }
  TRY(const std::vector<DeviceUser> users, usersOf(numbers));
  return checkUnused(users);
}

struct Arguments {
  std::vector<std::string> words;
  std::optional<int> kill_at;
  int deadline_ms = 20000;
};

Arguments readArguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 2; i < argc; ++i) {
    const std::string_view word(argv[i]);
    const bool has_value = i + 1 < argc;
    if (word == "--kill-at" && has_value) {
      arguments.kill_at = std::atoi(argv[++i]);
    } else if (word == "--deadline-ms" && has_value) {
      arguments.deadline_ms = std::atoi(argv[++i]);
    } else {
      arguments.words.emplace_back(word);
    }
  }
  return arguments;
}

std::vector<PciAddress> addresses(const std::vector<std::string>& words, std::size_t from) {
  std::vector<PciAddress> found;
  for (std::size_t i = from; i < words.size(); ++i) found.emplace_back(words[i]);
  return found;
}

Result<TakePlan> planFor(const std::vector<PciAddress>& gpus) {
  TRY(const Survey seen, survey());
  return planTake(seen, {gpus, kStandIns, {}});
}

Result<void> showPlan(const Arguments& arguments) {
  TRY(const TakePlan plan, planFor(addresses(arguments.words, 0)));
  for (const Group& group : plan.groups) {
    std::printf("group %d\n", group.number);
    for (const Member& member : group.members) {
      std::printf("  %s: %s\n", member.what.c_str(), member.verdict.c_str());
    }
  }
  for (const Step& step : plan.steps) std::printf("%s\n", describe(step).c_str());
  return checkUsers(plan.moving);
}

Deadline deadlineOf(const Arguments& arguments) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(arguments.deadline_ms);
}

Result<void> takeThem(const Arguments& arguments) {
  TRY(const TakePlan plan, planFor(addresses(arguments.words, 1)));
  os::PosixProcessRunner runner;
  HelperWriter helper(runner);
  MortalWriter writer(helper, arguments.kill_at);
  SysfsSettings settings(writer, nullptr);
  FileJournal journal(arguments.words.at(0));
  return take(plan.steps, settings, journal, [&] { return checkUsers(plan.moving); }, deadlineOf(arguments));
}

Result<void> giveThemBack(const Arguments& arguments) {
  os::PosixProcessRunner runner;
  HelperWriter helper(runner);
  MortalWriter writer(helper, arguments.kill_at);
  SysfsSettings settings(writer, nullptr);
  FileJournal journal(arguments.words.at(0));
  TRY_VOID(journal.load());
  return giveBack(journal.entries(), settings, journal, deadlineOf(arguments));
}

Error failed(const char* what) { return errnoError(errno, what, "/dev/vfio"); }

/// Maps a page for the device's DMA, as a guest's memory is.
Result<void> mapPage(int container) {
  void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return fail(failed("mmap"));
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<std::uintptr_t>(page);
  map.iova = 0x10000;
  map.size = 4096;
  if (::ioctl(container, VFIO_IOMMU_MAP_DMA, &map) != 0) return fail(failed("VFIO_IOMMU_MAP_DMA"));
  return {};
}

/// The edu device's identification register, through its BAR
/// (https://www.qemu.org/docs/master/specs/edu.html).
Result<std::uint32_t> readIdentification(int device) {
  vfio_region_info region{};
  region.argsz = sizeof region;
  region.index = VFIO_PCI_BAR0_REGION_INDEX;
  if (::ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) != 0)
    return fail(failed("VFIO_DEVICE_GET_REGION_INFO"));
  // Memory decoding is off after binding: the command register is in configuration space.
  vfio_region_info config{};
  config.argsz = sizeof config;
  config.index = VFIO_PCI_CONFIG_REGION_INDEX;
  if (::ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) != 0)
    return fail(failed("VFIO_DEVICE_GET_REGION_INFO"));
  const std::uint16_t memory_on = 0x2;
  if (::pwrite(device, &memory_on, sizeof memory_on, static_cast<off_t>(config.offset) + 4) != 2) {
    return fail(failed("write configuration space"));
  }
  std::uint32_t value = 0;
  if (::pread(device, &value, sizeof value, static_cast<off_t>(region.offset)) != sizeof value) {
    return fail(failed("read BAR 0"));
  }
  return value;
}

Result<void> openDevice(const Arguments& arguments) {
  const PciAddress address(arguments.words.at(0));
  TRY(const gpu::PciDevice device, gpu::PciBus().device(address));
  if (!device.iommu_group) return fail(ErrorCode::NotFound, address.value + " has no group");
  const std::string node = "/dev/vfio/" + std::to_string(*device.iommu_group);
  const os::UniqueFd container(::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
  const os::UniqueFd group(::open(node.c_str(), O_RDWR | O_CLOEXEC));
  if (!container.valid() || !group.valid()) return fail(errnoError(errno, "open", node));
  vfio_group_status status{};
  status.argsz = sizeof status;
  if (::ioctl(group.get(), VFIO_GROUP_GET_STATUS, &status) != 0) return fail(failed("VFIO_GROUP_GET_STATUS"));
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
    return fail(ErrorCode::Conflict, node + " is not viable");
  int container_fd = container.get();
  if (::ioctl(group.get(), VFIO_GROUP_SET_CONTAINER, &container_fd) != 0) {
    return fail(failed("VFIO_GROUP_SET_CONTAINER"));
  }
  if (::ioctl(container_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) return fail(failed("VFIO_SET_IOMMU"));
  TRY_VOID(mapPage(container_fd));
  const os::UniqueFd opened(::ioctl(group.get(), VFIO_GROUP_GET_DEVICE_FD, address.value.c_str()));
  if (!opened.valid()) return fail(failed("VFIO_GROUP_GET_DEVICE_FD"));
  TRY(const std::uint32_t identification, readIdentification(opened.get()));
  std::printf("%s identifies itself as %08x\n", address.value.c_str(), identification);
  std::fflush(stdout);
  if (arguments.words.size() > 1) ::pause();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 2 ? argv[1] : "";
  const std::map<std::string, Result<void> (*)(const Arguments&)> verbs{
      {"plan", showPlan}, {"take", takeThem}, {"back", giveThemBack}, {"open", openDevice}};
  const auto found = verbs.find(verb);
  if (found == verbs.end()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const Result<void> done = found->second(readArguments(argc, argv));
  return done ? 0 : tell(done.error());
}
