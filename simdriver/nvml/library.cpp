#include "nvml/library.h"

#include <algorithm>

namespace berth::sim::nvml {

nvmlReturn_t Library::init() {
  const std::scoped_lock guard(mutex_);
  if (++users_ > 1) return NVML_SUCCESS;
  enumerated_.clear();
  const auto engine = openReadingEngine();
  for (const VisibleGpu& gpu : engine->gpus(false)) {
    if (const nvmlDevice_t handle = handleOf(gpu); handle != nullptr) enumerated_.push_back(handle);
  }
  return NVML_SUCCESS;
}

nvmlReturn_t Library::shutdown() {
  const std::scoped_lock guard(mutex_);
  if (users_ == 0) return NVML_ERROR_UNINITIALIZED;
  --users_;
  return NVML_SUCCESS;
}

bool Library::initialised() {
  const std::scoped_lock guard(mutex_);
  return users_ > 0;
}

std::vector<nvmlDevice_t> Library::devices() {
  const std::scoped_lock guard(mutex_);
  return enumerated_;
}

bool Library::knows(nvmlDevice_t handle) {
  const std::scoped_lock guard(mutex_);
  return std::any_of(handles_.begin(), handles_.end(),
                     [handle](const auto& known) { return known.get() == handle; });
}

nvmlDevice_t Library::handleOf(const VisibleGpu& gpu) {
  std::shared_ptr<StateFile> file;
  if (StateFile::open(gpu.state_file, file, Access::Snapshot) != Status::Ok) return nullptr;
  for (const auto& known : handles_) {
    if (known->file == file) return known.get();
  }
  handles_.push_back(std::make_unique<nvmlDevice_st>(nvmlDevice_st{file, gpu.state_file}));
  return handles_.back().get();
}

Library& library() {
  static auto* instance = new Library;
  return *instance;
}

nvmlReturn_t copyText(std::string_view text, char* out, unsigned int length) {
  if (out == nullptr || length == 0) return NVML_ERROR_INVALID_ARGUMENT;
  if (text.size() >= length) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::copy(text.begin(), text.end(), out);
  out[text.size()] = '\0';
  return NVML_SUCCESS;
}

}  // namespace berth::sim::nvml
