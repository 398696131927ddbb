#include "engine/profile.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/text.h"

namespace berth::sim {
namespace {

constexpr std::uint64_t kMaxWhole = 1ULL << 40U;

std::optional<std::uint64_t> number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || value > kMaxWhole) return std::nullopt;
  return value;
}

bool setCapability(Profile& profile, std::string_view text) {
  const auto parts = split(text, '.');
  if (parts.size() != 2) return false;
  const auto major = parseWholeNumber(parts[0]);
  const auto minor = parseWholeNumber(parts[1]);
  if (!major || !minor || *major > 99 || *minor > 9) return false;
  profile.compute_major = static_cast<int>(*major);
  profile.compute_minor = static_cast<int>(*minor);
  return true;
}

bool setGflops(Profile& profile, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), profile.gflops_fp32);
  return error == std::errc{} && end == text.data() + text.size();
}

template <std::uint32_t Profile::* Member, std::uint64_t Unit = 1>
bool setSmall(Profile& profile, std::string_view text) {
  const auto value = number(text);
  if (!value || *value * Unit > 0xFFFFFFFFULL) return false;
  profile.*Member = static_cast<std::uint32_t>(*value * Unit);
  return true;
}

template <std::uint64_t Profile::* Member, std::uint64_t Unit>
bool setLarge(Profile& profile, std::string_view text) {
  const auto value = number(text);
  if (!value) return false;
  profile.*Member = *value * Unit;
  return true;
}

bool setName(Profile& profile, std::string_view text) {
  profile.name = text;
  return true;
}

struct Field {
  std::string_view name;
  bool (*set)(Profile&, std::string_view);
};

constexpr std::array kFields{
    Field{"name", setName},
    Field{"pci_device_id", setSmall<&Profile::pci_device_id>},
    Field{"pci_subsystem_id", setSmall<&Profile::pci_subsystem_id>},
    Field{"sm_count", setSmall<&Profile::sm_count>},
    Field{"compute_capability", setCapability},
    Field{"memory_mib", setLarge<&Profile::memory_bytes, 1ULL << 20U>},
    Field{"power_limit_w", setSmall<&Profile::power_limit_mw, 1000>},
    Field{"idle_power_w", setSmall<&Profile::idle_power_mw, 1000>},
    Field{"sm_clock_mhz", setSmall<&Profile::sm_clock_mhz>},
    Field{"memory_clock_mhz", setSmall<&Profile::memory_clock_mhz>},
    Field{"memory_bus_bits", setSmall<&Profile::memory_bus_bits>},
    Field{"gflops_fp32", setGflops},
    Field{"context_overhead_kib", setLarge<&Profile::context_overhead_bytes, 1024>},
    Field{"mps_context_overhead_kib", setLarge<&Profile::mps_context_overhead_bytes, 1024>},
    Field{"slice_us", setLarge<&Profile::slice_ns, 1000>},
    Field{"switch_us", setLarge<&Profile::switch_ns, 1000>},
};

struct Parser {
  std::vector<Profile> profiles;
  std::set<std::string, std::less<>> seen;  // Fields of the profile being read.
  std::size_t line = 0;

  Error wrong(const std::string& what) const {
    return Error{ErrorCode::InvalidArgument, "line " + std::to_string(line) + ": " + what, {}, {}};
  }

  Result<void> finishSection() const {
    if (profiles.empty()) return {};
    for (const Field& field : kFields) {
      if (seen.contains(field.name)) continue;
      return fail(wrong("profile " + profiles.back().key + " has no " + std::string(field.name)));
    }
    if (auto checked = checkProfile(profiles.back()); !checked) return fail(wrong(checked.error().message));
    return {};
  }

  Result<void> startSection(std::string_view text) {
    TRY_VOID(finishSection());
    const std::string key(trim(text.substr(1, text.size() - 2)));
    if (!text.ends_with(']') || !isDnsName(key))
      return fail(wrong("a section is [key], a short lower-case name"));
    for (const Profile& profile : profiles) {
      if (profile.key == key) return fail(wrong("profile " + key + " is there twice"));
    }
    profiles.emplace_back().key = key;
    seen.clear();
    return {};
  }

  Result<void> setField(std::string_view text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return fail(wrong("expected `field = value`"));
    const std::string key(trim(text.substr(0, equals)));
    const auto value = trim(text.substr(equals + 1));
    if (profiles.empty()) return fail(wrong("a field before the first [section]"));
    const auto* field = std::find_if(kFields.begin(), kFields.end(),
                                     [&key](const Field& candidate) { return candidate.name == key; });
    if (field == kFields.end()) return fail(wrong("unknown field " + key));
    if (!seen.insert(key).second) return fail(wrong(key + " is there twice"));
    if (!field->set(profiles.back(), value)) return fail(wrong(key + ": not a value: " + std::string(value)));
    return {};
  }

  Result<void> take(std::string_view text) {
    ++line;
    text = trim(text.substr(0, text.find('#')));
    if (text.empty()) return {};
    return text.front() == '[' ? startSection(text) : setField(text);
  }
};

}  // namespace

Result<void> checkProfile(const Profile& profile) {
  const auto wrong = [&profile](std::string_view what) {
    return fail(ErrorCode::InvalidArgument, "profile " + profile.key + ": " + std::string(what));
  };
  if (profile.name.empty() || profile.name.size() > 63) return wrong("name must have 1 to 63 characters");
  if (profile.sm_count < 1 || profile.sm_count > kMaxSms) return wrong("sm_count must be 1 to 1024");
  if (profile.memory_bytes < (64ULL << 20U) || profile.memory_bytes > (1ULL << 44U)) {
    return wrong("memory must be 64 MiB to 16 TiB");
  }
  if (profile.context_overhead_bytes > profile.memory_bytes / 2 ||
      profile.mps_context_overhead_bytes > profile.memory_bytes / 2) {
    return wrong("a context must not take more than half of the memory");
  }
  if (profile.power_limit_mw == 0 || profile.idle_power_mw >= profile.power_limit_mw) {
    return wrong("idle power must be below the power limit");
  }
  if (!(profile.gflops_fp32 > 0 && profile.gflops_fp32 < 1e9)) return wrong("gflops_fp32 must be above 0");
  if (profile.slice_ns < 100'000 || profile.slice_ns > 1'000'000'000) {
    return wrong("slice must be 100 us to 1 s");
  }
  if (profile.switch_ns > profile.slice_ns) return wrong("a switch must not take longer than a slice");
  if (profile.compute_major < 1 || profile.compute_major > 99 || profile.compute_minor < 0 ||
      profile.compute_minor > 9) {
    return wrong("compute_capability must be like 7.5");
  }
  return {};
}

Result<std::vector<Profile>> parseProfiles(std::string_view text) {
  Parser parser;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    TRY_VOID(parser.take(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  TRY_VOID(parser.finishSection());
  return std::move(parser.profiles);
}

Result<std::vector<Profile>> loadProfiles(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(errnoError(errno, "open", file.string()));
  std::string text(kMaxProfileFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxProfileFileBytes) {
    return fail(ErrorCode::InvalidArgument, file.string() + ": larger than 1 MiB");
  }
  return parseProfiles(text).during(file.string());
}

}  // namespace berth::sim
