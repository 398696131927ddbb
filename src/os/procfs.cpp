#include "os/procfs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "os/files.h"

namespace berth::os {
namespace {

constexpr std::size_t kStatLimit = 4096;
constexpr std::size_t kMapsLimit = std::size_t{64} << 20;
constexpr std::size_t kFileLimit = std::size_t{1} << 20;
constexpr std::size_t kFieldsAfterCommand = 20;  // From the state (3) to the start time (22).
constexpr std::size_t kStartTime = 19;
constexpr std::size_t kBootIdLength = 36;

auto corrupt(const char* what) { return fail(ErrorCode::Corrupt, what); }

Result<CgroupEntry> parseCgroupLine(std::string_view line) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return corrupt("a line of the cgroup file lacks its two colons");
  const std::optional<std::int64_t> hierarchy = parseWholeNumber(line.substr(0, first));
  const std::string_view controllers = line.substr(first + 1, second - first - 1);
  const std::string_view path = line.substr(second + 1);
  if (!hierarchy || !path.starts_with('/')) return corrupt("a line of the cgroup file is malformed");
  CgroupEntry entry{*hierarchy, {}, std::string(path)};
  if (!controllers.empty()) entry.controllers = split(controllers, ',');
  return entry;
}

}  // namespace

Result<ProcessStat> parseStat(std::string_view text) {
  // The name may hold anything, ") " too, but what follows the last parenthesis is only numbers.
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return corrupt("the stat file has no program name");
  }
  const std::optional<std::int64_t> pid = parseWholeNumber(text.substr(0, open));
  const std::string_view rest = text.substr(close + 2);
  const std::vector<std::string> fields = split(rest.substr(0, rest.find_last_not_of(" \n") + 1), ' ');
  if (!pid || fields.size() < kFieldsAfterCommand || fields[0].size() != 1) {
    return corrupt("the stat file is cut short or malformed");
  }
  const std::optional<std::int64_t> parent = parseWholeNumber(fields[1]);
  const std::optional<std::int64_t> start = parseWholeNumber(fields[kStartTime]);
  if (!parent || !start) return corrupt("the stat file's parent or start time is not a number");
  return ProcessStat{
      {*pid, *start}, std::string(text.substr(open + 2, close - open - 2)), fields[0][0], *parent};
}

Result<std::vector<CgroupEntry>> parseCgroup(std::string_view text) {
  std::vector<CgroupEntry> entries;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty()) continue;
    TRY(CgroupEntry entry, parseCgroupLine(line));
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<std::string> parseCommandLine(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (bytes.back() == '\0') bytes.remove_suffix(1);
  return split(bytes, '\0');
}

Result<std::vector<std::int64_t>> parseNamespacePids(std::string_view status) {
  constexpr std::string_view kField = "NSpid:";
  for (const std::string& line : split(status, '\n')) {
    if (!line.starts_with(kField)) continue;
    std::vector<std::int64_t> pids;
    for (const std::string& part : split(trim(std::string_view(line).substr(kField.size())), '\t')) {
      const std::optional<std::int64_t> pid = parseWholeNumber(part);
      if (!pid) return corrupt("the status file's NSpid is not made of numbers");
      pids.push_back(*pid);
    }
    return pids;
  }
  return corrupt("the status file has no NSpid");
}

bool mapsFile(std::string_view maps, std::uint64_t inode, std::string_view file_name) {
  // "55d0-55d1 r-xp 00000000 fe:01 1234                       /usr/lib/x.so"
  const std::string number = " " + std::to_string(inode) + " ";
  const std::string name = "/" + std::string(file_name);
  for (std::size_t begin = 0; begin < maps.size();) {
    const std::size_t end = std::min(maps.find('\n', begin), maps.size());
    const std::string_view line = maps.substr(begin, end - begin);
    const std::size_t path = line.find('/');
    const bool same_inode = path != std::string_view::npos && line.substr(0, path).find(number) != line.npos;
    if (same_inode && (line.ends_with(name) || line.ends_with(name + " (deleted)"))) return true;
    begin = end + 1;
  }
  return false;
}

Result<std::string> Procfs::read(std::int64_t pid, const char* file) const {
  Result<std::string> text = readFile(root_ / std::to_string(pid) / file, kFileLimit);
  // A process that ends while its file is read gives ESRCH.
  if (!text && text.error().code == ErrorCode::Io) text.error().code = ErrorCode::NotFound;
  return text;
}

Result<ProcessStat> Procfs::stat(std::int64_t pid) const {
  TRY(const std::string text, read(pid, "stat"));
  if (text.size() > kStatLimit) return corrupt("the stat file is too long");
  return parseStat(text);
}

Result<std::vector<std::string>> Procfs::commandLine(std::int64_t pid) const {
  TRY(const std::string bytes, read(pid, "cmdline"));
  return parseCommandLine(bytes);
}

Result<std::vector<std::int64_t>> Procfs::processes() const {
  std::error_code error;
  std::vector<std::int64_t> pids;
  for (std::filesystem::directory_iterator entry(root_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto pid = parseWholeNumber(entry->path().filename().native())) pids.push_back(*pid);
  }
  if (error) return fail(errnoError(error.value(), "readdir", root_.string()));
  return pids;
}

Result<std::vector<std::string>> Procfs::environment(std::int64_t pid) const {
  TRY(const std::string bytes, read(pid, "environ"));
  return parseCommandLine(bytes);
}

Result<std::vector<CgroupEntry>> Procfs::cgroup(std::int64_t pid) const {
  TRY(const std::string text, read(pid, "cgroup"));
  return parseCgroup(text);
}

Result<std::string> Procfs::executableName(std::int64_t pid) const {
  const std::filesystem::path link = root_ / std::to_string(pid) / "exe";
  std::array<char, 4096> target{};
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  if (length < 0) return fail(errnoError(errno, "readlink", link.string()));
  const std::string_view path(target.data(), static_cast<std::size_t>(length));
  return std::filesystem::path(path).filename().string();
}

Result<NamespacePid> Procfs::inOwnNamespace(std::int64_t pid) const {
  TRY(const std::string status, read(pid, "status"));
  TRY(const std::vector<std::int64_t> pids, parseNamespacePids(status));
  const std::filesystem::path link = root_ / std::to_string(pid) / "ns" / "pid";
  struct stat file{};
  if (::stat(link.c_str(), &file) != 0) return fail(errnoError(errno, "stat", link.string()));
  return NamespacePid{pids.back(), file.st_ino};
}

Result<bool> Procfs::hasMapped(std::int64_t pid, const std::filesystem::path& path) const {
  const std::filesystem::path file = root_ / std::to_string(pid) / "root" / path.relative_path();
  struct stat wanted{};
  if (::stat(file.c_str(), &wanted) != 0) return fail(errnoError(errno, "stat", file.string()));
  Result<std::string> maps = readFile(root_ / std::to_string(pid) / "maps", kMapsLimit);
  if (!maps && maps.error().code == ErrorCode::Io) maps.error().code = ErrorCode::NotFound;
  if (!maps) return fail(std::move(maps).error());
  return mapsFile(*maps, wanted.st_ino, file.filename().string());
}

Result<std::string> Procfs::bootId() const {
  TRY(const std::string text, readFile(root_ / "sys/kernel/random/boot_id", kFileLimit));
  const std::string_view id = trim(text);
  if (id.size() != kBootIdLength) return corrupt("the boot id is not 36 characters long");
  return std::string(id);
}

}  // namespace berth::os
