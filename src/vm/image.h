// Images and disks: files under one folder, made by qemu-img.
//   images/NAME/disk.qcow2, image.json   imported images, read-only from then on
//   disks/NAME.qcow2                     VMs' disks: linked clones of images, and data disks
// A file is made under a name that begins with ".new-" and renamed when it is whole; cleanUp removes what a
// crash left.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "os/process.h"
#include "vm/hypervisor.h"
#include "vm/image_probe.h"
#include "vm/vm_spec.h"

namespace berth::vm {

struct ImageInfo {
  std::string name;
  GuestOs os = GuestOs::Linux;
  Generation generation = Generation::V1;
  bool generalized = true;  // Else specialized: its users and names are its own, no seed is applied.
  std::uint64_t virtual_bytes = 0;
  std::string sha256;  // Of the file that was imported, in hex.
  bool operator==(const ImageInfo&) const = default;
};

/// image.json's text and back. Corrupt: not what printImageInfo writes.
std::string printImageInfo(const ImageInfo& info);
Result<ImageInfo> parseImageInfo(std::string_view text);

struct ImageSource {
  ImageInfo info;  // Name, OS, generation, generalized; an empty sha256 is not checked.
  std::filesystem::path file;
};

/// Blocking; worker threads. Safe from several threads as long as one name is worked on by one. Every name is
/// a DNS label.
class ImageStore {
 public:
  /// `runner` outlives this. The folders are made at the first use.
  ImageStore(os::ProcessRunner& runner, std::filesystem::path root)
      : runner_(runner), root_(std::move(root)) {}

  /// Converts the file to an image. `progress` gets 0 to 100, on another thread, until this returns.
  /// Conflict: the name is taken. probeImage's refusals. InvalidArgument (ChecksumMismatch). Refused
  /// (DiskFull).
  Result<ImageInfo> import(const ImageSource& source, const std::function<void(int)>& progress,
                           Deadline deadline);
  Result<std::vector<ImageInfo>> list() const;
  Result<ImageInfo> find(const std::string& name) const;
  std::filesystem::path imageFile(const std::string& name) const;
  /// The caller knows that no disk is a clone of it. Succeeds when there is none.
  Result<void> removeImage(const std::string& name);

  std::filesystem::path diskFile(const std::string& name) const;
  /// A disk that holds only what differs from the image: made at once, whatever the image's size. `bytes` 0:
  /// as large as the image. A disk that is there already with this image below it is a success; another is
  /// Conflict.
  Result<void> createClone(const std::string& disk, const std::string& image, std::uint64_t bytes,
                           Deadline deadline);
  /// An empty disk. A disk of this size that is there is a success; another is Conflict.
  Result<void> createDisk(const std::string& disk, std::uint64_t bytes, Deadline deadline);
  /// InvalidArgument: it would shrink. Its VM must not run.
  Result<void> growDisk(const std::string& disk, std::uint64_t bytes, Deadline deadline);
  Result<void> removeDisk(const std::string& disk);

  /// Removes what a crash left half done. At start, before anything else.
  Result<void> cleanUp();

 private:
  struct DiskFacts {
    std::uint64_t bytes = 0;
    std::string backing;
  };
  Result<std::string> tool(std::vector<std::string> argv, Deadline deadline);
  Result<DiskFacts> facts(const std::filesystem::path& file, Deadline deadline);
  Result<void> makeDisk(const std::string& disk, std::vector<std::string> arguments, Deadline deadline);
  Result<void> convert(const ImageSource& source, const ImageProbe& probe,
                       const std::filesystem::path& folder, const std::function<void(int)>& progress,
                       Deadline deadline);
  Result<void> checkSpace(const std::string& source, Deadline deadline);

  os::ProcessRunner& runner_;
  std::filesystem::path root_;
};

/// The last percentage in qemu-img's progress output "    (12.34/100%)\r"; 0 when there is none.
int lastProgress(std::string_view text);

}  // namespace berth::vm
