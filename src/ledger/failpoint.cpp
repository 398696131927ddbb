#include "ledger/failpoint.h"

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "base/text.h"

namespace berth::ledger {
namespace {

class KillAt final : public FailPoint {
 public:
  explicit KillAt(std::int64_t number) : number_(number) {}
  void cross(std::string_view /*name*/, std::int64_t number) override {
    if (number == number_) std::raise(SIGKILL);
  }

 private:
  std::int64_t number_;
};

class KillWhenTold final : public FailPoint {
 public:
  explicit KillWhenTold(const std::filesystem::path& folder)
      : kill_at_(folder / "kill-at"), crossings_(folder / "crossings", std::ios::trunc) {}
  void cross(std::string_view name, std::int64_t number) override {
    crossings_ << number << ' ' << name << std::endl;
    std::string wanted;
    std::ifstream(kill_at_) >> wanted;
    if (parseWholeNumber(wanted) == number) std::raise(SIGKILL);
  }

 private:
  std::filesystem::path kill_at_;
  std::ofstream crossings_;
};

}  // namespace

std::unique_ptr<FailPoint> failPointFromEnvironment() {
  const char* value = std::getenv("BERTH_FAILPOINT");
  if (value == nullptr) return nullptr;
  const std::filesystem::path path(value);
  if (path.is_absolute()) return std::make_unique<KillWhenTold>(path);
  const auto number = parseWholeNumber(value);
  if (!number || *number == 0) return nullptr;
  return std::make_unique<KillAt>(*number);
}

}  // namespace berth::ledger
