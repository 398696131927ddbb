// A GPU's state file as one process sees it: opened, checked, mapped, and locked.
//
// Three kinds of lock, all the kernel's, so that kill -9 of a holder lets go of them: an
// open-file-description lock for the state (two libraries in one process exclude each other with it), and one
// classic record lock per slot, held for as long as its process uses the GPU; F_GETLK names that process in
// the reader's own PID namespace. Closing any descriptor of the file would drop the process's record locks,
// therefore a file once opened stays open until the process ends; the cache of open files is the one
// process-wide object here.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include <sys/types.h>

#include "base/error.h"
#include "engine/layout.h"
#include "engine/session.h"

namespace berth::sim {

/// Whether a file of `file_bytes` that begins with `header` is a state file of ours. Corrupt says what is
/// wrong.
Result<void> checkHeader(const StateHeader& header, std::uint64_t file_bytes);
ProfileRecord toRecord(const Profile& profile);
Profile toProfile(const ProfileRecord& record);
/// The text in a fixed field, at most to its end.
template <std::size_t Size>
std::string textOf(const std::array<char, Size>& field) {
  std::size_t length = 0;
  while (length < Size && field[length] != '\0') ++length;
  return {field.data(), length};
}

/// Which process this is, for slots that are our own: pid as it sees itself, namespace and start time.
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t pid_namespace = 0;
  std::uint64_t start_time = 0;
  bool operator==(const ProcessIdentity&) const = default;
};
const ProcessIdentity& self();

struct SlotHolder {
  bool alive = false;
  pid_t pid = 0;  // In this process's namespace; 0: alive, but in none that is visible from here.
};

/// How a process gets at the state. Mapped: in place, for those who submit work. Snapshot: lock() reads a
/// copy and nothing of it is written back but what save() names. Containers can cut a state file short at any
/// time, which ends a process that touches its mapping by SIGBUS; a snapshot only becomes Malformed. NVML,
/// which is loaded into daemons, uses snapshots.
enum class Access : std::uint8_t { Mapped, Snapshot };

class StateFile {
 public:
  /// Opens `path`, or finds it among the files this process has open. Malformed, Io.
  static Status open(const std::filesystem::path& path, std::shared_ptr<StateFile>& file,
                     Access access = Access::Mapped);
  /// Writes a new GPU's file, complete before it has its name. Fails when there is one.
  static Result<void> create(const std::filesystem::path& path, const StateHeader& identity);

  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  GpuState& state() { return *state_; }
  const Profile& profile() const { return profile_; }
  const std::string& uuid() const { return uuid_; }
  const std::string& pciBusId() const { return pci_bus_id_; }
  const std::string& serial() const { return serial_; }
  std::uint32_t index() const { return index_; }
  Access access() const { return access_; }
  const std::filesystem::path& path() const { return path_; }
  /// True in a child of the process that opened the file: its locks are not the child's.
  bool inherited() const;

  /// Takes the state's lock; waits for two seconds at most (a stopped holder), then Io. Malformed when the
  /// file was cut short meanwhile.
  Status lock();
  void unlock();
  /// Writes the `health` part of a snapshot to the file; the lock is held. With Mapped it is there already.
  Status saveHealth();

  /// Takes or gives back the record lock of a slot for this process.
  bool lockSlot(std::uint32_t slot);
  void unlockSlot(std::uint32_t slot);
  SlotHolder holder(std::uint32_t slot, const Slot& record) const;

  /// Sleeps until the state's wake word is no longer `seen`, `max_ns` at most.
  void sleep(std::uint32_t seen, std::uint64_t max_ns);
  void wakeAll();

 private:
  StateFile(int fd, GpuState* state, const StateHeader& checked, std::filesystem::path path, Access access);
  bool record(std::uint32_t slot, short type);
  bool readSnapshot();

  int fd_;
  GpuState* state_;
  Access access_;
  std::filesystem::path path_;
  pid_t opened_by_;
  Profile profile_;
  std::string uuid_;
  std::string pci_bus_id_;
  std::string serial_;
  std::uint32_t index_ = 0;
  std::timed_mutex mutex_;
};

}  // namespace berth::sim
