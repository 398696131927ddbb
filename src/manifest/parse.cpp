// Text to workloads: what format it is, and what holds for a file as a whole.
#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <boost/nowide/utf/utf.hpp>

#include "base/text.h"
#include "manifest/failure.h"
#include "manifest/iotedge.h"
#include "manifest/json_text.h"
#include "manifest/kubernetes.h"
#include "manifest/limits.h"
#include "manifest/workload.h"
#include "manifest/yaml_text.h"

namespace berth::manifest {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Valid UTF-8 without control characters other than tab and line ends; yaml-cpp replaces the former silently
// and takes U+0004 for the end of the file.
Result<void> checkCharacters(std::string_view text, const Place& file) {
  namespace utf = boost::nowide::utf;
  Place place = file;
  place.line = 1;
  place.column = 1;
  for (const char* at = text.data(); at != text.data() + text.size();) {
    const utf::code_point c = utf::utf_traits<char>::decode(at, text.data() + text.size());
    if (c == utf::illegal || c == utf::incomplete) return invalid(place, "this is not UTF-8 text");
    if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
      return invalid(place, "a control character (" + std::to_string(c) + ") in the text");
    }
    place.column = c == '\n' ? 1 : place.column + 1;
    if (c == '\n') ++place.line;
  }
  return {};
}

Result<std::vector<Document>> parseDocuments(std::string_view text, const Place& file) {
  if (!trim(text).starts_with('{')) return parseYaml(text, file.file);
  // As kubectl does: what begins like a JSON object is JSON.
  TRY(Node root, parseJson(text, file, JsonLines::Known));
  std::vector<Document> documents;
  documents.push_back(Document{{}, std::move(root)});
  return documents;
}

Result<void> checkNames(const Manifest& manifest) {
  std::map<std::string, const Workload*> by_name;
  for (const Workload& workload : manifest.workloads) {
    const auto [first, fresh] = by_name.emplace(workload.name.value, &workload);
    if (fresh) continue;
    return invalid(workload.place, "the name " + quoted(workload.name.value) + " is taken in this file, by " +
                                       std::string(name(first->second->kind)) + " " +
                                       quoted(first->second->original_name) + " at " +
                                       text(first->second->place));
  }
  return {};
}

}  // namespace

Result<Manifest> parse(std::string_view text, std::string_view file) {
  const Place place{std::string(file), 0, 0, {}};
  if (text.size() > kMaxFileBytes) {
    return invalid(place, "the file is larger than " + std::to_string(kMaxFileBytes) + " bytes",
                   kInputTooLarge);
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  TRY_VOID(checkCharacters(text, place));
  TRY(const std::vector<Document> documents, parseDocuments(text, place));
  Manifest manifest;
  for (const Document& document : documents) {
    const Position at = document.root.position;
    const Value value(document.root, Place{place.file, at.line, at.column, document.path});
    if (isIotEdge(document.root)) {
      TRY_VOID(readIotEdge(value, manifest));
    } else {
      TRY_VOID(readKubernetes(value, manifest));
    }
  }
  if (manifest.workloads.empty()) return invalid(place, "there are no objects in it that Berth could run");
  TRY_VOID(checkNames(manifest));
  return manifest;
}

}  // namespace berth::manifest
