#include "vm/extension/guest_os.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/text.h"
#include "vm/json.h"

namespace berth::vm::extension {
namespace {

namespace json = boost::json;

constexpr const char* kWindowsId = "mswindows";
constexpr const char* kUnnamedLinux = "linux";

std::string textOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// "7.9" is "7.x", "7.9" and "7", not "7.1"; "22.04" is "22.x" and "22.04".
bool releaseMatches(std::string_view wanted, std::string_view release) {
  if (wanted == release) return true;
  if (wanted.ends_with(".x")) wanted.remove_suffix(2);
  return release.starts_with(wanted) && (release.size() == wanted.size() || release[wanted.size()] == '.') &&
         wanted.find('.') == std::string_view::npos;
}

bool isDistribution(const std::vector<std::string>& words, const OsInfo& os) {
  const auto is_word = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
  if (os.id == "rhel") return is_word("rhel/centos") || (is_word("red") && is_word("hat"));
  if (os.id == "centos") return is_word("rhel/centos") || is_word("centos");
  return is_word(os.id);
}

std::string_view releaseIn(const std::vector<std::string>& words) {
  const auto found = std::ranges::find_if(words, [](const std::string& word) {
    return !word.empty() && std::isdigit(static_cast<unsigned char>(word.front())) != 0;
  });
  return found == words.end() ? std::string_view() : std::string_view(*found);
}

bool matchesLinux(const std::vector<std::string>& words, const OsInfo& os) {
  if (!isDistribution(words, os)) return false;
  const std::string_view release = releaseIn(words);
  return release.empty() || releaseMatches(release, os.version_id);
}

/// Windows is named by product: every word of the catalogue's name must be in the guest's, except a release
/// like "22H2" or "1607", which the guest agent does not tell.
bool matchesWindows(const std::vector<std::string>& words, const OsInfo& os) {
  const std::vector<std::string> guest = split(toLower(os.pretty_name), ' ');
  const bool server = std::ranges::find(words, "server") != words.end();
  const bool guest_is_server = os.variant_id == "server" || std::ranges::find(guest, "server") != guest.end();
  if (words.front() != "windows" || server != guest_is_server) return false;
  const std::string_view product = releaseIn(words);
  return product.empty() || product == os.version_id || std::ranges::find(guest, product) != guest.end();
}

}  // namespace

Result<OsInfo> parseOsInfo(std::string_view answer) {
  TRY(const json::value value, parseJson(answer, "guest-get-osinfo"));
  const json::object* object = value.if_object();
  if (object != nullptr) {
    if (const json::value* inner = object->if_contains("return")) object = inner->if_object();
  }
  if (object == nullptr)
    return fail(ErrorCode::Corrupt, "the guest agent's answer about its OS is not an object");
  OsInfo os{toLower(textOf(*object, "id")), textOf(*object, "version-id"), textOf(*object, "pretty-name"),
            toLower(textOf(*object, "variant-id"))};
  // Without /etc/os-release the agent tells the kernel only.
  if (os.id.empty()) os.id = kUnnamedLinux;
  if (os.pretty_name.empty()) os.pretty_name = trim(os.id + " " + os.version_id);
  return os;
}

GuestOs family(const OsInfo& os) { return os.id == kWindowsId ? GuestOs::Windows : GuestOs::Linux; }

bool matches(std::string_view catalog_name, const OsInfo& os) {
  const std::vector<std::string> words = split(toLower(catalog_name), ' ');
  return family(os) == GuestOs::Windows ? matchesWindows(words, os) : matchesLinux(words, os);
}

bool matchesAny(const std::vector<std::string>& catalog_names, const OsInfo& os) {
  return std::ranges::any_of(catalog_names, [&](const std::string& name) { return matches(name, os); });
}

}  // namespace berth::vm::extension
