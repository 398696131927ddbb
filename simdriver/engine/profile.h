// Kinds of simulated GPU, read from a small text file: [key] sections of `field = value` lines, `#` comments.
// profiles.txt has the ones that ship; users add their own file of the same form.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/session.h"

namespace berth::sim {

inline constexpr std::size_t kMaxProfileFileBytes = 1 << 20;
inline constexpr std::uint32_t kMaxSms = 1024;

/// All profiles of `text`. InvalidArgument names the line: an unknown field, a value out of range, a field
/// that is missing or given twice, a key given twice.
Result<std::vector<Profile>> parseProfiles(std::string_view text);

/// parseProfiles of a file. NotFound, Denied, Io as the file; errors name it.
Result<std::vector<Profile>> loadProfiles(const std::filesystem::path& file);

/// What every GPU's profile must keep to; also what is demanded of one found in a state file.
Result<void> checkProfile(const Profile& profile);

}  // namespace berth::sim
