// libnvidia-ml.so.1 of a driver root, opened by dlopen: the one place that turns its symbols and return codes
// into ours.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gpu/nvml/nvml_abi.h"

namespace berth::gpu::nvml {

/// An open NVML library, initialised. Closing shuts NVML down. One thread at a time (the driver's worker).
class Library {
 public:
  /// Opens the library below `driver_root` and initialises it. Unavailable: there is none, it lacks a
  /// function we cannot do without, or it finds no driver; the message says which.
  static Result<std::unique_ptr<Library>> open(const std::filesystem::path& driver_root);
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library();

  const Functions& functions() const { return functions_; }
  /// The library exports `berthSimulatedDriver`: it is the simulated driver's.
  bool simulated() const;
  /// nvmlShutdown and nvmlInit_v2: how NVML comes to see GPUs that came or went. Afterwards every handle is
  /// dead. On a failure the library must be closed.
  Result<void> reinitialise();
  /// Success, or the Error for what `call` on `object` (a GPU, or empty) returned.
  Result<void> check(Return code, std::string_view call, std::string_view object = {}) const;

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  explicit Library(std::unique_ptr<void, Close> handle) : handle_(std::move(handle)) {}

  std::unique_ptr<void, Close> handle_;
  Functions functions_{};
  bool initialised_ = false;
};

/// Where the library of a driver root may be, in the order to try. A plain name (root "/") leaves it to the
/// dynamic loader. Pure.
std::vector<std::filesystem::path> libraryCandidates(const std::filesystem::path& driver_root);

}  // namespace berth::gpu::nvml
