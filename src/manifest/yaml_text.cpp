#include "manifest/yaml_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "manifest/failure.h"
#include "manifest/limits.h"
#include "manifest/tree_builder.h"

namespace berth::manifest {
namespace {

constexpr std::string_view kYamlTag = "tag:yaml.org,2002:";

Position positionOf(const YAML::Mark& mark) { return Position{mark.line + 1, mark.column + 1}; }

// What Kubernetes' reader (YAML 1.1) takes for a boolean.
bool isBool(std::string_view text) {
  constexpr std::array<std::string_view, 22> kBools = {
      "y", "Y", "yes", "Yes", "YES", "on",  "On",  "ON",  "true",  "True",  "TRUE",
      "n", "N", "no",  "No",  "NO",  "off", "Off", "OFF", "false", "False", "FALSE"};
  return std::ranges::find(kBools, text) != kBools.end();
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }

std::size_t skipDigits(std::string_view text, std::size_t from) {
  while (from < text.size() && (isDigit(text[from]) || text[from] == '_')) ++from;
  return from;
}

bool isPrefixedInteger(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return false;
  const std::string_view digits = text.substr(2);
  const auto all = [&](std::string_view allowed) {
    return digits.find_first_not_of(allowed) == std::string_view::npos;
  };
  return (text[1] == 'x' && all("0123456789abcdefABCDEF_")) || (text[1] == 'o' && all("01234567_")) ||
         (text[1] == 'b' && all("01_"));
}

bool isNumber(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF" || text == ".nan" || text == ".NaN" ||
      text == ".NAN") {
    return true;
  }
  if (isPrefixedInteger(text)) return true;
  std::size_t at = text.empty() || text[0] == '_' ? 0 : skipDigits(text, 0);
  std::size_t digits = at;
  if (at < text.size() && text[at] == '.') {
    const std::size_t end = skipDigits(text, at + 1);
    digits += end - at - 1;
    at = end;
  }
  if (digits == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (at == text.size()) return false;
    at = skipDigits(text, at);
  }
  return at == text.size();
}

NodeType plainType(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return NodeType::Null;
  if (isBool(text)) return NodeType::Bool;
  return isNumber(text) ? NodeType::Number : NodeType::Text;
}

class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  /// True when `mark` is the first thing on its line and the blanks before it have a tab.
  bool indentedByTab(const YAML::Mark& mark) const {
    const auto column = static_cast<std::size_t>(mark.column);
    const auto pos = static_cast<std::size_t>(mark.pos);
    if (column == 0 || pos > characters_end() || column > pos) return false;
    const std::string_view line = lineOf(mark.line);
    const std::string_view before = line.substr(0, std::min(column, line.size()));
    return before.find_first_not_of(" \t") == std::string_view::npos &&
           before.find('\t') != std::string_view::npos;
  }

  /// True when the blanks at the beginning of this line (from 0) have a tab.
  bool beginsWithTab(int number) const {
    const std::string_view line = lineOf(number);
    const std::string_view blanks = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
    return blanks.find('\t') != std::string_view::npos;
  }

  bool beginsDocument(int number) const { return lineOf(number).starts_with("---"); }

 private:
  std::size_t characters_end() const { return text_.size(); }

  // Marks come in order, so the search goes on from the last line asked for.
  std::string_view lineOf(int number) const {
    if (number < line_) {
      line_ = 0;
      begin_ = 0;
    }
    while (line_ < number) {
      const std::size_t end = text_.find('\n', begin_);
      if (end == std::string_view::npos) return {};
      begin_ = end + 1;
      ++line_;
    }
    return text_.substr(begin_, std::min(text_.find('\n', begin_), text_.size()) - begin_);
  }

  std::string_view text_;
  mutable int line_ = 0;
  mutable std::size_t begin_ = 0;
};

// Ends yaml-cpp's parse from inside an event; never leaves this file.
struct Stop : std::exception {
  explicit Stop(Error why) : error(std::move(why)) {}
  Error error;
};

class Handler final : public YAML::EventHandler {
 public:
  Handler(TreeBuilder& builder, const Lines& lines) : builder_(builder), lines_(lines) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    // yaml-cpp takes whatever follows a finished document for the next one.
    if (!first_ && !lines_.beginsDocument(mark.line)) {
      stop(mark, "this does not belong to the text before it (is the indentation right?)");
    }
    first_ = false;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    keep(builder_.scalar(NodeType::Null, {}, at(mark), anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    keep(builder_.alias(anchor, at(mark)));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    keep(builder_.scalar(typeOf(mark, tag, value), value, at(mark), anchor));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    checkTag(mark, tag, "seq");
    open(mark, style);
    keep(builder_.beginList(positionOf(mark), anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    checkTag(mark, tag, "map");
    open(mark, style);
    keep(builder_.beginMap(positionOf(mark), anchor));
  }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] void stop(const YAML::Mark& mark, const std::string& cause) const {
    throw Stop(invalid(builder_.place(positionOf(mark)), cause).value());
  }
  static void keep(Result<void> done) {
    if (!done) throw Stop(std::move(done).error());
  }
  // JSON's brackets make indentation meaningless, tabs included.
  Position at(const YAML::Mark& mark) const {
    if (flow_depth_ == 0 && lines_.indentedByTab(mark))
      stop(mark, "a tab in the indentation; YAML takes spaces");
    return positionOf(mark);
  }
  void open(const YAML::Mark& mark, YAML::EmitterStyle::value style) {
    at(mark);
    if (flow_depth_ > 0 || style == YAML::EmitterStyle::Flow) ++flow_depth_;
  }
  void close() {
    if (flow_depth_ > 0) --flow_depth_;
    keep(builder_.end());
  }
  void checkTag(const YAML::Mark& mark, const std::string& tag, std::string_view kind) const {
    if (tag.empty() || tag == "?" || tag == "!" || tag == std::string(kYamlTag) + std::string(kind)) return;
    stop(mark, "the tag " + quoted(tag) + " is not read here");
  }
  NodeType typeOf(const YAML::Mark& mark, const std::string& tag, const std::string& value) const {
    if (tag == "!" || tag == std::string(kYamlTag) + "str") return NodeType::Text;
    if (tag.empty() || tag == "?") return plainType(value);
    for (const std::string_view known : {"int", "float", "bool", "null"}) {
      if (tag == std::string(kYamlTag) + std::string(known)) return plainType(value);
    }
    stop(mark, "the tag " + quoted(tag) + " is not read here");
  }

  TreeBuilder& builder_;
  const Lines& lines_;
  int flow_depth_ = 0;
  bool first_ = true;
};

std::string documentPath(std::size_t index) {
  return index == 0 ? std::string() : "documents[" + std::to_string(index) + "]";
}

Error syntaxError(const YAML::Exception& e, const TreeBuilder& builder, const Lines& lines) {
  const bool placed = e.mark.line >= 0;
  const Place place = builder.place(placed ? positionOf(e.mark) : Position{});
  if (placed && lines.beginsWithTab(e.mark.line)) {
    return invalid(place, "a tab in the indentation; YAML takes spaces").value();
  }
  return invalid(place, "not YAML: " + e.msg).value();
}

}  // namespace

Result<std::vector<Document>> parseYaml(std::string_view text, std::string_view file) {
  std::vector<Document> documents;
  TreeBuilder builder{std::string(file), {}};
  const Lines lines(text);
  Handler handler(builder, lines);
  std::size_t index = 0;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    for (; parser.HandleNextDocument(handler); ++index) {
      if (index >= kMaxDocuments) {
        return invalid(builder.place({}), "too many documents; the limit is " + std::to_string(kMaxDocuments),
                       kInputTooLarge);
      }
      Node root = builder.takeRoot();
      if (root.type != NodeType::Null) documents.push_back(Document{documentPath(index), std::move(root)});
      builder.nextDocument(documentPath(index + 1));
    }
  } catch (const Stop& stop) {
    return fail(stop.error);
  } catch (const YAML::Exception& e) {
    return fail(syntaxError(e, builder, lines));
  }
  return documents;
}

}  // namespace berth::manifest
