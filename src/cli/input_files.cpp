#include "cli/input_files.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/cli.h"
#include "os/files.h"

namespace berth::cli {
namespace {

constexpr std::string_view kStandardInput = "-";

Result<InputFile> readStream(std::istream& in) {
  std::string text(kMaxInputBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) return fail(ErrorCode::Io, "the standard input cannot be read");
  if (text.size() > kMaxInputBytes) {
    return fail(ErrorCode::InvalidArgument,
                "the standard input holds more than " + std::to_string(kMaxInputBytes) + " bytes");
  }
  return InputFile{"stdin", std::move(text)};
}

}  // namespace

Result<std::vector<InputFile>> readInputFiles(const std::vector<std::string>& paths, std::istream& in) {
  if (std::count(paths.begin(), paths.end(), kStandardInput) > 1) {
    return fail(ErrorCode::InvalidArgument, "the standard input (-) can be read only once");
  }
  std::vector<InputFile> files;
  for (const std::string& path : paths) {
    if (path == kStandardInput) {
      TRY(files.emplace_back(), readStream(in));
      continue;
    }
    TRY(std::string text, os::readFile(path, kMaxInputBytes));
    files.push_back({std::filesystem::path(path).filename(), std::move(text)});
  }
  return files;
}

}  // namespace berth::cli
