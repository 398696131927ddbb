#include "container/mount_info.h"

#include <algorithm>

#include "base/text.h"

namespace berth::container {

namespace {

// ID, parent, major:minor, root, target, options, then optional fields up to "-".
constexpr std::size_t kRootField = 3;
constexpr std::size_t kTargetField = 4;
constexpr std::size_t kOptionsField = 5;
constexpr std::size_t kFixedFields = 6;

bool isOctal(char c) { return c >= '0' && c <= '7'; }

// Blanks, tabs, line ends and backslashes are written as a backslash and three octal digits.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() && text[i + 1] <= '3' &&
                        isOctal(text[i + 1]) && isOctal(text[i + 2]) && isOctal(text[i + 3]);
    if (!escape) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

Result<MountPoint> parseLine(std::string_view line, std::size_t number) {
  const auto fields = split(line, ' ');
  const bool complete = fields.size() > kFixedFields &&
                        std::find(fields.begin() + kFixedFields, fields.end(), "-") != fields.end();
  if (!complete || fields[kTargetField].empty()) {
    return fail(ErrorCode::Corrupt, "mountinfo line " + std::to_string(number) + " is not a mount");
  }
  const auto options = split(fields[kOptionsField], ',');
  return MountPoint{unescape(fields[kRootField]), unescape(fields[kTargetField]),
                    std::find(options.begin(), options.end(), "ro") != options.end()};
}

}  // namespace

Result<std::vector<MountPoint>> parseMountInfo(std::string_view text) {
  std::vector<MountPoint> mounts;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    TRY(MountPoint mount, parseLine(text.substr(0, end), ++number));
    mounts.push_back(std::move(mount));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return mounts;
}

}  // namespace berth::container
