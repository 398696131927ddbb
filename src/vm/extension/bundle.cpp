#include "vm/extension/bundle.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "base/text.h"
#include "os/files.h"
#include "vm/extension/request.h"
#include "vm/json.h"

namespace berth::vm::extension {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kTextLimit = std::size_t{1} << 20;
constexpr std::size_t kHexLength = 64;

bool isHex(std::string_view text) {
  return text.size() == kHexLength &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// Names go into commands of the guest's shell and paths of two systems.
bool isPlainName(std::string_view text) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-' || c == '+';
  };
  return !text.empty() && text.size() <= 128 && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, allowed);
}

Result<std::vector<std::string>> textList(const json::value& value, const std::string& place) {
  if (!value.is_array()) return fail(ErrorCode::InvalidArgument, place + ": is not a list");
  std::vector<std::string> words;
  for (const json::value& item : value.get_array()) {
    if (!item.is_string())
      return fail(ErrorCode::InvalidArgument, place + ": holds something else than text");
    words.emplace_back(item.get_string());
  }
  return words;
}

Result<void> checkFileName(const std::string& name, const std::string& place, bool may_be_empty) {
  if ((may_be_empty && name.empty()) || isPlainName(name)) return {};
  return fail(ErrorCode::InvalidArgument,
              place + ": \"" + name + "\" is not the name of a file in the bundle");
}

bool has(const Bundle& bundle, const std::string& file) {
  return file.empty() || std::ranges::find(bundle.files, file, &Checksum::file) != bundle.files.end();
}

}  // namespace

Result<std::vector<Checksum>> parseChecksums(std::string_view text) {
  std::vector<Checksum> sums;
  int number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    // "HEX  NAME", or "HEX *NAME" for a file read as binary, which is the same here.
    const bool long_enough = line.size() > kHexLength + 2;
    Checksum sum{long_enough ? line.substr(kHexLength + 2) : std::string(), line.substr(0, kHexLength)};
    const bool separated = long_enough && line[kHexLength] == ' ' &&
                           (line[kHexLength + 1] == ' ' || line[kHexLength + 1] == '*');
    if (!separated || !isHex(sum.sha256) || !isPlainName(sum.file)) {
      return fail(ErrorCode::InvalidArgument, std::string(kChecksumFile) + ":" + std::to_string(number) +
                                                  ": is not a checksum and the name of a file");
    }
    sums.push_back(std::move(sum));
  }
  return sums;
}

Result<Bundle> parseBundle(std::string_view text, const std::string& place) {
  TRY(const json::value value, parseJson(text, place));
  FieldReader fields(value, place);
  Bundle bundle;
  bundle.type = fields.text("type");
  bundle.version = fields.text("version");
  const json::value* const systems = fields.child("systems");
  bundle.install = fields.text("install");
  const json::value none(json::array_kind);
  const bool has_arguments = value.is_object() && value.get_object().contains("arguments");
  const json::value* const arguments = has_arguments ? fields.child("arguments") : &none;
  bundle.verify = fields.textOr("verify", "");
  bundle.remove = fields.textOr("remove", "");
  TRY_VOID(fields.finish());
  TRY(bundle.systems, textList(*systems, place + ".systems"));
  TRY(bundle.arguments, textList(*arguments, place + ".arguments"));
  if (bundle.type != kLinuxType && bundle.type != kWindowsType) {
    return fail(ErrorCode::InvalidArgument, place + ".type: " + bundle.type + " is unknown");
  }
  TRY_VOID(checkFileName(bundle.install, place + ".install", false));
  TRY_VOID(checkFileName(bundle.verify, place + ".verify", true));
  TRY_VOID(checkFileName(bundle.remove, place + ".remove", true));
  return bundle;
}

Result<Bundle> readBundle(const fs::path& folder) {
  const fs::path file = folder / kBundleFile;
  TRY(const std::string text, os::readFile(file, kTextLimit));
  TRY(Bundle bundle, parseBundle(text, file.string()));
  TRY(const std::string sums, os::readFile(folder / kChecksumFile, kTextLimit));
  TRY(bundle.files, parseChecksums(sums).during(folder.string()));
  bundle.folder = folder;
  for (const std::string& program : {bundle.install, bundle.verify, bundle.remove}) {
    if (!has(bundle, program)) {
      return fail(ErrorCode::InvalidArgument,
                  folder.string() + ": " + kChecksumFile + " has no checksum of " + program);
    }
  }
  return bundle;
}

Shelf readShelf(const fs::path& folder) {
  Shelf shelf;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code none;
    if (!entry->is_directory(none)) continue;
    if (Result<Bundle> bundle = readBundle(entry->path())) {
      shelf.bundles.push_back(*std::move(bundle));
    } else {
      shelf.problems.push_back(std::move(bundle).error());
    }
  }
  std::ranges::sort(shelf.bundles, [](const Bundle& a, const Bundle& b) {
    return a.version == b.version ? a.folder < b.folder : isNewer(a.version, b.version);
  });
  return shelf;
}

Result<void> verifyFiles(os::ProcessRunner& runner, const Bundle& bundle, Deadline deadline) {
  os::ProcessSpec check;
  check.argv = {"sha256sum", "--check", "--strict", "--quiet", kChecksumFile};
  check.env = {{"LC_ALL", "C"}};
  check.working_directory = bundle.folder;
  TRY(const os::ProcessResult result, runner.run(check, deadline));
  if (result.status.success()) return {};
  const std::string said = join(split(trim(result.output), '\n'), "; ");
  return fail(ErrorCode::InvalidArgument,
              "the driver bundle " + bundle.folder.string() + " is not what its checksums say: " + said);
}

bool isNewer(std::string_view version, std::string_view than) {
  const std::vector<std::string> a = split(version, '.');
  const std::vector<std::string> b = split(than, '.');
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::int64_t left = i < a.size() ? parseWholeNumber(a[i]).value_or(0) : -1;
    const std::int64_t right = i < b.size() ? parseWholeNumber(b[i]).value_or(0) : -1;
    if (left != right) return left > right;
  }
  return false;
}

}  // namespace berth::vm::extension
