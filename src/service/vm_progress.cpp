#include "service/vm_progress.h"

#include <utility>

namespace berth::service {
namespace {

constexpr int kWhole = 100;
constexpr int kBegun = 10;
constexpr int kHalf = 50;
constexpr std::string_view kVm = "vm/";
constexpr std::string_view kImage = "image/";

Progress succeeded(std::string message = {}) {
  return {Progress::State::Succeeded, kWhole, std::move(message), {}};
}

Progress running(int percent, std::string message) {
  return {Progress::State::Running, percent, std::move(message), {}};
}

Progress failedWith(Error error) {
  return {Progress::State::Failed, kWhole, error.message, std::move(error)};
}

/// What follows the prefix of the only target; empty: it is of another kind.
std::string subjectOf(const Operation& operation, std::string_view prefix) {
  if (operation.targets.empty() || !operation.targets.front().starts_with(prefix)) return {};
  return operation.targets.front().substr(prefix.size());
}

bool onItsWay(const VmRecord& vm) {
  return vm.power == vm::PowerState::Stopping || vm.power == vm::PowerState::Deallocating;
}

Progress imageProgress(const Operation& operation, const Book& book, const std::string& name) {
  const auto found = book.images.find(name);
  const bool gone = found == book.images.end();
  if (operation.kind == "image remove") return gone ? succeeded() : running(kHalf, "removing " + name);
  if (!gone && found->second->state == ImageRecord::State::Importing) {
    return running(found->second->percent, "importing " + name);
  }
  if (operation.error) {
    return gone ? failedWith(*operation.error) : running(operation.percent, "removing " + name);
  }
  if (gone) return failedWith(Error{ErrorCode::Conflict, "image " + name + " was removed meanwhile", {}, {}});
  return succeeded();
}

std::string doing(const VmRecord& vm) {
  if (!vm.message.empty()) return vm.message;
  switch (vm.power) {
    case vm::PowerState::Starting:
      return "starting " + vm.name;
    case vm::PowerState::Stopping:
      return "stopping " + vm.name;
    case vm::PowerState::Deallocating:
      return "deallocating " + vm.name;
    default:
      return "changing " + vm.name;
  }
}

}  // namespace

bool isVmOperation(const Operation& operation) {
  return !subjectOf(operation, kVm).empty() || !subjectOf(operation, kImage).empty();
}

std::string vmTarget(const std::string& vm) { return std::string(kVm) + vm; }
std::string imageTarget(const std::string& image) { return std::string(kImage) + image; }

Progress vmProgress(const Operation& operation, const Book& book) {
  if (const std::string image = subjectOf(operation, kImage); !image.empty()) {
    return imageProgress(operation, book, image);
  }
  const std::string name = subjectOf(operation, kVm);
  const auto found = book.vms.find(name);
  if (operation.kind == "vm delete") {
    return found == book.vms.end() ? succeeded() : running(kHalf, "deleting " + name);
  }
  if (operation.error) {
    // Back where it was, or gone when it was new.
    const bool undone = found == book.vms.end() ||
                        (!onItsWay(*found->second) && found->second->desired != VmDesired::Deleted);
    return undone ? failedWith(*operation.error) : running(operation.percent, "undoing");
  }
  if (found == book.vms.end()) {
    return failedWith(Error{ErrorCode::Conflict, "VM " + name + " was deleted meanwhile", {}, {}});
  }
  const VmRecord& vm = *found->second;
  if (isBusy(vm)) return running(vm.recalling ? kBegun : kHalf, doing(vm));
  return succeeded();
}

}  // namespace berth::service
