#include "manifest/failure.h"

#include <cstddef>
#include <utility>

namespace berth::manifest {
namespace {

constexpr std::size_t kShown = 64;

Error errorAt(ErrorCode code, const Place& place, std::string_view reason, const std::string& cause,
              const std::string& remedy) {
  const std::string where = text(place);
  return Error{code, where + ": " + cause, std::string(reason), {ErrorDetail{where, cause, remedy}}};
}

bool continuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

tl::unexpected<Error> invalid(const Place& place, const std::string& cause, std::string_view reason) {
  return fail(errorAt(ErrorCode::InvalidArgument, place, reason, cause, {}));
}

tl::unexpected<Error> refused(const Place& place, std::string_view reason, const std::string& cause,
                              const std::string& remedy) {
  Error error = errorAt(ErrorCode::Refused, place, reason, cause, remedy);
  if (!remedy.empty()) error.message += "; " + remedy;
  return fail(std::move(error));
}

std::string quoted(std::string_view text) {
  if (text.size() <= kShown) return '"' + std::string(text) + '"';
  std::size_t end = kShown;
  while (end > 0 && continuesCharacter(text[end])) --end;
  return '"' + std::string(text.substr(0, end)) + "...\"";
}

}  // namespace berth::manifest
