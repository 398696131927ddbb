#include "ptx.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace berth::sim::cu {
namespace {

bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%' || c == '.';
}
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// The text's words and punctuation. Comments are skipped; those that begin with `berth-cost:` are kept.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  /// The next token, empty at the end.
  std::string_view next() {
    skipBlanks();
    if (at_ >= text_.size()) return {};
    const std::size_t start = at_;
    if (text_[at_] == '"') return quoted();
    if (!isNameStart(text_[at_]) && !isDigit(text_[at_])) return text_.substr(at_++, 1);
    while (at_ < text_.size() && (isNameStart(text_[at_]) || isDigit(text_[at_]))) ++at_;
    return text_.substr(start, at_ - start);
  }

  std::string_view peek() {
    const std::size_t before = at_;
    const std::string_view token = next();
    at_ = before;
    return token;
  }

  /// Hints met since the last call.
  std::vector<std::string_view> takeHints() {
    // peek() may read a comment twice; the same text twice says nothing new.
    return std::exchange(hints_, {});
  }

 private:
  void skipBlanks() {
    while (at_ < text_.size()) {
      if (isSpace(text_[at_])) {
        ++at_;
      } else if (text_.compare(at_, 2, "//") == 0) {
        lineComment();
      } else if (text_.compare(at_, 2, "/*") == 0) {
        const std::size_t end = text_.find("*/", at_ + 2);
        at_ = end == std::string_view::npos ? text_.size() : end + 2;
      } else {
        return;
      }
    }
  }

  void lineComment() {
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view comment = text_.substr(at_ + 2, end - at_ - 2);
    while (!comment.empty() && isSpace(comment.front())) comment.remove_prefix(1);
    constexpr std::string_view kHint = "berth-cost:";
    if (comment.substr(0, kHint.size()) == kHint) hints_.push_back(comment.substr(kHint.size()));
    at_ = end;
  }

  std::string_view quoted() {
    const std::size_t start = at_;
    const std::size_t end = text_.find('"', at_ + 1);
    at_ = end == std::string_view::npos ? text_.size() : end + 1;
    return text_.substr(start, at_ - start);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string_view> hints_;
};

std::optional<std::uint64_t> number(std::string_view token) {
  int base = 10;
  if (token.substr(0, 2) == "0x" || token.substr(0, 2) == "0X") {
    base = 16;
    token.remove_prefix(2);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value, base);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  return value;
}

/// Bytes of a fundamental type: ".u32" is 4; 0 for what is not one.
std::size_t typeBytes(std::string_view type) {
  static constexpr std::string_view kKinds[] = {".u", ".s", ".f", ".b"};
  if (type == ".f16x2" || type == ".bf16x2") return 4;
  if (type == ".texref" || type == ".samplerref" || type == ".surfref") return 8;
  if (type.size() < 3 ||
      std::find(std::begin(kKinds), std::end(kKinds), type.substr(0, 2)) == std::end(kKinds))
    return 0;
  const std::optional<std::uint64_t> bits = number(type.substr(2));
  const bool known = bits && (*bits == 8 || *bits == 16 || *bits == 32 || *bits == 64 || *bits == 128);
  return known ? static_cast<std::size_t>(*bits / 8) : 0;
}

void applyHint(std::string_view hint, CostHint& cost) {
  while (!hint.empty()) {
    while (!hint.empty() && isSpace(hint.front())) hint.remove_prefix(1);
    std::size_t length = 0;
    while (length < hint.size() && !isSpace(hint[length])) ++length;
    const std::string_view pair = hint.substr(0, length);
    hint.remove_prefix(length);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    double value = 0;
    const std::string_view text = pair.substr(equals + 1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) continue;
    if (!std::isfinite(value) || value < 0) continue;
    const std::string_view key = pair.substr(0, equals);
    if (key == "ns") cost.nanoseconds = value;
    if (key == "flop-per-thread") cost.flop_per_thread = value;
    if (key == "bytes-per-thread") cost.bytes_per_thread = value;
    if (key == "max-sms") cost.max_sms = value;
  }
}

struct Declaration {
  std::string name;
  std::size_t bytes = 0;
  std::size_t align = 1;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  std::optional<PtxModule> run() {
    for (std::string_view token = lexer_.next(); !token.empty(); token = lexer_.next()) {
      if (!statement(token)) return std::nullopt;
    }
    if (module_.version == 0 || module_.target == 0) return std::nullopt;
    return std::move(module_);
  }

 private:
  bool statement(std::string_view token) {
    if (token == ".version") return version();
    if (token == ".target") return target();
    if (token == ".entry") return entry();
    if (token == ".func") return function();
    if (token == ".global" || token == ".const") return variable();
    if (token == "{") return skipBody(nullptr);
    return true;
  }

  bool version() {
    const std::string_view token = lexer_.next();  // "6.0"
    const std::size_t dot = token.find('.');
    if (dot == std::string_view::npos) return false;
    const auto major = number(token.substr(0, dot));
    const auto minor = number(token.substr(dot + 1));
    if (!major || !minor || *major > 99 || *minor > 9) return false;
    module_.version = static_cast<int>(*major * 10 + *minor);
    return module_.version > 0;
  }

  bool target() {
    std::string_view token = lexer_.next();  // "sm_50", "sm_90a"
    if (token.substr(0, 3) != "sm_") return false;
    token.remove_prefix(3);
    if (!token.empty() && (token.back() == 'a' || token.back() == 'f')) token.remove_suffix(1);
    const auto value = number(token);
    if (!value || *value == 0 || *value > 999) return false;
    module_.target = static_cast<int>(*value);
    return true;
  }

  bool entry() {
    PtxKernel kernel;
    kernel.name = lexer_.next();
    if (kernel.name.empty() || !isNameStart(kernel.name.front())) return false;
    if (lexer_.peek() == "(" && !parameters(kernel)) return false;
    for (std::string_view token = lexer_.next();; token = lexer_.next()) {
      if (token.empty()) return false;
      if (token == ";") break;  // A forward declaration
      if (token == ".maxntid" || token == ".reqntid") kernel.max_threads = threadLimit();
      if (token == "{") {
        if (!skipBody(&kernel)) return false;
        break;
      }
    }
    for (const std::string_view hint : lexer_.takeHints()) applyHint(hint, kernel.cost);
    module_.kernels.push_back(std::move(kernel));
    return true;
  }

  /// ".maxntid 256, 1, 1": the product, at most what the largest block has.
  unsigned threadLimit() {
    std::uint64_t product = 1;
    do {
      const auto value = number(lexer_.next());
      product = std::min<std::uint64_t>(product * std::min<std::uint64_t>(value.value_or(1), 1024), 1024);
    } while (lexer_.peek() == "," && !lexer_.next().empty());
    return static_cast<unsigned>(product);
  }

  bool function() {
    for (std::string_view token = lexer_.next();; token = lexer_.next()) {
      if (token.empty()) return false;
      if (token == ";") return true;
      if (token == "{") return skipBody(nullptr);
    }
  }

  bool parameters(PtxKernel& kernel) {
    lexer_.next();
    std::size_t offset = 0;
    for (std::string_view token = lexer_.next(); token != ")"; token = lexer_.next()) {
      if (token.empty()) return false;
      if (token == ",") continue;
      if (token != ".param") return false;
      const std::optional<Declaration> declared = declaration();
      if (!declared) return false;
      offset = (offset + declared->align - 1) / declared->align * declared->align;
      kernel.parameters.push_back({offset, declared->bytes});
      offset += declared->bytes;
      if (offset > kMaxParameterBytes || kernel.parameters.size() > kMaxKernelParameters) return false;
    }
    return true;
  }

  /// After ".param": "[.align N] .type [.ptr [.space] [.align N]] name[[COUNT]]".
  std::optional<Declaration> declaration() {
    Declaration declared;
    std::size_t element = 0;
    bool pointer = false;
    for (std::string_view token = lexer_.next();; token = lexer_.next()) {
      if (token.empty()) return std::nullopt;
      if (token == ".align") {
        const auto align = number(lexer_.next());
        if (!align || *align == 0 || *align > 4096 || (*align & (*align - 1)) != 0) return std::nullopt;
        if (!pointer) declared.align = static_cast<std::size_t>(*align);
      } else if (token == ".ptr") {
        pointer = true;
      } else if (const std::size_t bytes = typeBytes(token); bytes != 0) {
        element = bytes;
      } else if (token.front() != '.') {
        declared.name = token;
        break;
      }
    }
    if (element == 0 || !isNameStart(declared.name.front())) return std::nullopt;
    declared.align = std::max(declared.align, element);
    declared.bytes = element;
    return dimensions(declared) ? std::optional(declared) : std::nullopt;
  }

  bool dimensions(Declaration& declared) {
    while (lexer_.peek() == "[") {
      lexer_.next();
      const std::string_view count_token = lexer_.next();
      if (count_token == "]") {  // extern .shared a[]: sized by the launch
        declared.bytes = 0;
        continue;
      }
      const auto count = number(count_token);
      if (!count || lexer_.next() != "]") return false;
      if (*count > kMaxVariableBytes || declared.bytes * *count > kMaxVariableBytes) return false;
      declared.bytes *= static_cast<std::size_t>(*count);
    }
    return true;
  }

  bool variable() {
    const std::optional<Declaration> declared = declaration();
    if (!declared) return false;
    module_.variables.push_back({declared->name, declared->bytes});
    // An initialiser may hold braces; the statement ends at the semicolon outside of them.
    int depth = 0;
    for (std::string_view token = lexer_.next();; token = lexer_.next()) {
      if (token.empty()) return false;
      if (token == "{") ++depth;
      if (token == "}") --depth;
      if (token == ";" && depth <= 0) return true;
    }
  }

  /// Everything up to the brace that closes the one just read. Shared memory declared inside counts for
  /// `kernel`.
  bool skipBody(PtxKernel* kernel) {
    int depth = 1;
    while (depth > 0) {
      const std::string_view token = lexer_.next();
      if (token.empty()) return false;
      if (token == "{") ++depth;
      if (token == "}") --depth;
      // "st.shared" is one word, so a lone ".shared" begins a declaration.
      if (token == ".shared" && kernel != nullptr) {
        const std::optional<Declaration> declared = declaration();
        if (!declared) return false;
        kernel->shared_bytes += declared->bytes;
      }
    }
    return true;
  }

  Lexer lexer_;
  PtxModule module_;
};

}  // namespace

std::optional<PtxModule> parsePtx(std::string_view text) {
  if (text.size() > kMaxPtxBytes) return std::nullopt;
  return Parser(text).run();
}

std::size_t parameterBytes(const PtxKernel& kernel) {
  return kernel.parameters.empty() ? 0 : kernel.parameters.back().offset + kernel.parameters.back().bytes;
}

}  // namespace berth::sim::cu
