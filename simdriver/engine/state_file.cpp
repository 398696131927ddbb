#include "engine/state_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <thread>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/profile.h"

namespace berth::sim {
namespace {

constexpr auto kLockTimeout = std::chrono::seconds(2);
constexpr mode_t kFileMode = 0666;  // As /dev/nvidia*: whoever can see the GPU may use it.

template <std::size_t Size>
std::array<char, Size> toField(const std::string& text) {
  std::array<char, Size> field{};
  std::copy_n(text.begin(), std::min(text.size(), Size - 1), field.begin());
  return field;
}

bool hexWithDashes(std::string_view text, std::string_view shape) {
  if (text.size() != shape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f') ||
                     (text[i] >= 'A' && text[i] <= 'F');
    if (shape[i] == 'x' ? !hex : text[i] != shape[i]) return false;
  }
  return true;
}

ProcessIdentity identify() {
  ProcessIdentity identity;
  identity.pid = ::getpid();
  struct stat info{};
  if (::stat("/proc/self/ns/pid", &info) == 0) identity.pid_namespace = info.st_ino;
  std::ifstream in("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return identity;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields >> field; ++i) {  // Field 22 is starttime, proc(5).
    if (i == 22) identity.start_time = std::strtoull(field.c_str(), nullptr, 10);
  }
  return identity;
}

using FileKey = std::tuple<dev_t, ino_t, Access>;
struct OpenFiles {
  std::mutex mutex;
  std::map<FileKey, std::shared_ptr<StateFile>> files;
};

/// Never destroyed: threads may still be in here while the process exits.
OpenFiles& openFiles() {
  static auto* files = new OpenFiles;
  return *files;
}

struct flock byteLock(short type, std::int64_t at) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Result<void> writeState(int fd, const StateHeader& identity, const std::string& name) {
  StateHeader header = identity;
  header.magic = kMagic;
  header.version = kLayoutVersion;
  header.header_bytes = sizeof(StateHeader);
  header.total_bytes = sizeof(GpuState);
  TRY_VOID(checkHeader(header, sizeof(GpuState)));
  struct timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t epoch = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  const std::uint32_t power_limit = header.profile.power_limit_mw;
  const auto at = [](const auto member) { return static_cast<off_t>(member); };
  if (::fchmod(fd, kFileMode) != 0 || ::ftruncate(fd, sizeof(GpuState)) != 0 ||
      ::pwrite(fd, &header, sizeof header, 0) != ssize_t{sizeof header} ||
      ::pwrite(fd, &epoch, sizeof epoch, at(offsetof(GpuState, epoch_ns))) != ssize_t{sizeof epoch} ||
      ::pwrite(fd, &power_limit, sizeof power_limit,
               at(offsetof(GpuState, health) + offsetof(Health, power_limit_mw))) !=
          ssize_t{sizeof power_limit}) {
    return fail(errnoError(errno, "write", name));
  }
  return {};
}

}  // namespace

Result<void> checkHeader(const StateHeader& header, std::uint64_t file_bytes) {
  const auto wrong = [](std::string what) { return fail(ErrorCode::Corrupt, std::move(what)); };
  if (file_bytes < sizeof(StateHeader)) return wrong("too short for a GPU's state");
  if (header.magic != kMagic) return wrong("not a GPU's state: wrong magic");
  if (header.version != kLayoutVersion) {
    return wrong("layout version " + std::to_string(header.version) + ", this driver knows " +
                 std::to_string(kLayoutVersion));
  }
  if (header.header_bytes != sizeof(StateHeader) || header.total_bytes != sizeof(GpuState)) {
    return wrong("sizes in the header are not this version's");
  }
  if (file_bytes != sizeof(GpuState)) return wrong("file has not the size its header says");
  if (!hexWithDashes(textOf(header.uuid), "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")) {
    return wrong("no valid UUID");
  }
  if (!hexWithDashes(textOf(header.pci_bus_id), "xxxxxxxx:xx:xx.x")) return wrong("no valid PCI address");
  if (header.index > 63) return wrong("index out of range");
  if (auto checked = checkProfile(toProfile(header.profile)); !checked) return wrong(checked.error().message);
  return {};
}

ProfileRecord toRecord(const Profile& profile) {
  ProfileRecord record{};
  record.key = toField<64>(profile.key);
  record.name = toField<64>(profile.name);
  record.pci_device_id = profile.pci_device_id;
  record.pci_subsystem_id = profile.pci_subsystem_id;
  record.sm_count = profile.sm_count;
  record.compute_major = profile.compute_major;
  record.compute_minor = profile.compute_minor;
  record.power_limit_mw = profile.power_limit_mw;
  record.idle_power_mw = profile.idle_power_mw;
  record.sm_clock_mhz = profile.sm_clock_mhz;
  record.memory_clock_mhz = profile.memory_clock_mhz;
  record.memory_bus_bits = profile.memory_bus_bits;
  record.gflops_fp32 = profile.gflops_fp32;
  record.memory_bytes = profile.memory_bytes;
  record.context_overhead_bytes = profile.context_overhead_bytes;
  record.mps_context_overhead_bytes = profile.mps_context_overhead_bytes;
  record.slice_ns = profile.slice_ns;
  record.switch_ns = profile.switch_ns;
  return record;
}

Profile toProfile(const ProfileRecord& record) {
  Profile profile;
  profile.key = textOf(record.key);
  profile.name = textOf(record.name);
  profile.pci_device_id = record.pci_device_id;
  profile.pci_subsystem_id = record.pci_subsystem_id;
  profile.sm_count = record.sm_count;
  profile.compute_major = record.compute_major;
  profile.compute_minor = record.compute_minor;
  profile.power_limit_mw = record.power_limit_mw;
  profile.idle_power_mw = record.idle_power_mw;
  profile.sm_clock_mhz = record.sm_clock_mhz;
  profile.memory_clock_mhz = record.memory_clock_mhz;
  profile.memory_bus_bits = record.memory_bus_bits;
  profile.gflops_fp32 = record.gflops_fp32;
  profile.memory_bytes = record.memory_bytes;
  profile.context_overhead_bytes = record.context_overhead_bytes;
  profile.mps_context_overhead_bytes = record.mps_context_overhead_bytes;
  profile.slice_ns = record.slice_ns;
  profile.switch_ns = record.switch_ns;
  return profile;
}

const ProcessIdentity& self() {
  thread_local ProcessIdentity identity = identify();
  if (identity.pid != ::getpid()) identity = identify();  // A child that was forked.
  return identity;
}

StateFile::StateFile(int fd, GpuState* state, const StateHeader& checked, std::filesystem::path path,
                     Access access)
    : fd_(fd),
      state_(state),
      access_(access),
      path_(std::move(path)),
      opened_by_(::getpid()),
      profile_(toProfile(checked.profile)),
      uuid_(textOf(checked.uuid)),
      pci_bus_id_(textOf(checked.pci_bus_id)),
      serial_(textOf(checked.serial)),
      index_(checked.index) {}

StateFile::~StateFile() {
  ::munmap(state_, sizeof(GpuState));
  ::close(fd_);
}

bool StateFile::inherited() const { return ::getpid() != opened_by_; }

Status StateFile::open(const std::filesystem::path& path, std::shared_ptr<StateFile>& file, Access access) {
  OpenFiles& known = openFiles();
  const std::scoped_lock guard(known.mutex);
  struct stat info{};
  // Not opened first and looked up then: closing a second descriptor would drop this process's record locks.
  if (::stat(path.c_str(), &info) != 0) return Status::Io;
  if (!S_ISREG(info.st_mode)) return Status::Malformed;
  auto& entry = known.files[{info.st_dev, info.st_ino, access}];
  if (entry && !entry->inherited()) {
    file = entry;
    return info.st_size == off_t{sizeof(GpuState)} ? Status::Ok : Status::Malformed;
  }
  Descriptor descriptor{::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (descriptor.fd < 0) return Status::Io;
  StateHeader header{};
  const ssize_t got = ::pread(descriptor.fd, &header, sizeof header, 0);
  if (got != ssize_t{sizeof header} || ::fstat(descriptor.fd, &info) != 0) return Status::Malformed;
  if (!checkHeader(header, static_cast<std::uint64_t>(info.st_size))) return Status::Malformed;
  const bool mapped = access == Access::Mapped;
  void* memory = ::mmap(nullptr, sizeof(GpuState), PROT_READ | PROT_WRITE,
                        mapped ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        mapped ? descriptor.fd : -1, 0);
  if (memory == MAP_FAILED) return Status::Io;
  if (entry) new std::shared_ptr<StateFile>(entry);  // The parent's: kept for its sessions' sake.
  entry.reset(
      new StateFile(std::exchange(descriptor.fd, -1), static_cast<GpuState*>(memory), header, path, access));
  file = entry;
  return Status::Ok;
}

Result<void> StateFile::create(const std::filesystem::path& path, const StateHeader& identity) {
  const std::string temporary = path.string() + ".new." + std::to_string(::getpid());
  const Descriptor descriptor{::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode)};
  if (descriptor.fd < 0) return fail(errnoError(errno, "create", temporary));
  auto written = writeState(descriptor.fd, identity, temporary);
  const bool linked = written && ::link(temporary.c_str(), path.c_str()) == 0;
  const int link_error = errno;
  ::unlink(temporary.c_str());
  if (!written) return written;
  if (!linked) return fail(errnoError(link_error, "create", path.string()));
  return {};
}

Status StateFile::lock() {
  const auto deadline = std::chrono::steady_clock::now() + kLockTimeout;
  if (!mutex_.try_lock_until(deadline)) return Status::Io;
  struct flock lock = byteLock(F_WRLCK, kStateLockByte);
  std::chrono::microseconds pause(5);
  while (::fcntl(fd_, F_OFD_SETLK, &lock) != 0) {
    if ((errno != EAGAIN && errno != EACCES && errno != EINTR) ||
        std::chrono::steady_clock::now() > deadline) {
      mutex_.unlock();
      return Status::Io;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(200));
  }
  struct stat info{};
  const bool whole = ::fstat(fd_, &info) == 0 && info.st_size >= off_t{sizeof(GpuState)};
  if (whole && (access_ == Access::Mapped || readSnapshot())) return Status::Ok;
  unlock();
  return Status::Malformed;
}

/// Streams that were never used are not read: that is nearly all of the file.
bool StateFile::readSnapshot() {
  constexpr std::size_t kStreams = offsetof(GpuState, model) + offsetof(ModelState, streams);
  if (::pread(fd_, state_, kStreams, 0) != ssize_t{kStreams}) return false;
  const std::size_t rest = std::min(state_->model.streams_high, kMaxStreams) * sizeof(StreamState);
  return ::pread(fd_, state_->model.streams.data(), rest, off_t{kStreams}) == static_cast<ssize_t>(rest);
}

Status StateFile::saveHealth() {
  if (access_ == Access::Mapped) return Status::Ok;
  constexpr off_t kPlace = offsetof(GpuState, health);
  const ssize_t written = ::pwrite(fd_, &state_->health, sizeof(Health), kPlace);
  return written == ssize_t{sizeof(Health)} ? Status::Ok : Status::Io;
}

void StateFile::unlock() {
  struct flock lock = byteLock(F_UNLCK, kStateLockByte);
  ::fcntl(fd_, F_OFD_SETLK, &lock);
  mutex_.unlock();
}

bool StateFile::record(std::uint32_t slot, short type) {
  struct flock lock = byteLock(type, kSlotLockBase + slot);
  return ::fcntl(fd_, F_SETLK, &lock) == 0;
}

bool StateFile::lockSlot(std::uint32_t slot) { return record(slot, F_WRLCK); }

void StateFile::unlockSlot(std::uint32_t slot) { record(slot, F_UNLCK); }

SlotHolder StateFile::holder(std::uint32_t slot, const Slot& record) const {
  const ProcessIdentity slot_owner{record.pid, record.pid_namespace, record.start_time};
  if (slot_owner == self()) return {true, slot_owner.pid};  // F_GETLK does not tell of one's own locks.
  struct flock lock = byteLock(F_WRLCK, kSlotLockBase + slot);
  if (::fcntl(fd_, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return {};
  return {true, std::max<pid_t>(lock.l_pid, 0)};
}

void StateFile::sleep(std::uint32_t seen, std::uint64_t max_ns) {
  struct timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(max_ns / 1'000'000'000);
  timeout.tv_nsec = static_cast<long>(max_ns % 1'000'000'000);
  ::syscall(SYS_futex, &state_->wake, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

void StateFile::wakeAll() {
  if (access_ == Access::Snapshot) return;  // Nobody waits on a copy.
  std::atomic_ref(state_->wake).fetch_add(1);
  ::syscall(SYS_futex, &state_->wake, FUTEX_WAKE, 0x7FFFFFFF, nullptr, nullptr, 0);
}

}  // namespace berth::sim
