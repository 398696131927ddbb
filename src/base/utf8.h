// Text from outside that will stand in JSON: there it must be UTF-8, or nobody can read it back.
#pragma once

#include <string>
#include <string_view>

namespace berth {

bool isUtf8(std::string_view text);

/// `text` with a '?' for each byte that belongs to no character.
std::string asUtf8(std::string_view text);

}  // namespace berth
