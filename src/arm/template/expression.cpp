#include "arm/template/expression.h"

#include <charconv>
#include <utility>

#include "arm/template/limits.h"

namespace berth::arm_template {
namespace {

bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool startsName(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continuesName(char c) { return startsName(c) || isDigit(c) || c == '$'; }

Error atColumn(std::size_t column, const std::string& message) {
  return Error{
      ErrorCode::InvalidArgument, "column " + std::to_string(column) + ": " + message, "InvalidTemplate", {}};
}

/// Recursive descent over the text between the brackets.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Expression> parse() {
    at_ = 1;
    TRY(Expression whole, expression(0));
    skipBlanks();
    if (at_ + 1 == text_.size()) return whole;
    return fail(atColumn(at_ + 1, "this does not belong to the expression: " + rest()));
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  void skipBlanks() {
    while (isBlank(peek())) ++at_;
  }
  std::string rest() const {
    constexpr std::size_t kShown = 20;
    return "\"" + std::string(text_.substr(at_, kShown)) + "\"";
  }
  Error unexpected(const std::string& wanted) const {
    const bool over = at_ + 1 >= text_.size();
    return atColumn(at_ + 1, wanted + " is expected" + (over ? ", the expression ends" : ", not " + rest()));
  }

  Result<Expression> expression(std::size_t depth) {
    if (depth > kMaxDepth) {
      return fail(atColumn(at_ + 1, "nested deeper than " + std::to_string(kMaxDepth)));
    }
    TRY(Expression left, primary(depth));
    return postfixes(std::move(left), depth);
  }

  Result<Expression> primary(std::size_t depth) {
    skipBlanks();
    if (peek() == '\'') return text();
    if (isDigit(peek()) || peek() == '-' || peek() == '+') return integer();
    if (startsName(peek())) return call(depth);
    return fail(unexpected("a function, a string or an integer"));
  }

  Result<Expression> text() {
    Expression made{Expression::Kind::Text, {}, 0, false, at_ + 1};
    ++at_;
    while (at_ + 1 < text_.size()) {
      const char c = text_[at_++];
      if (c != '\'') {
        made.text += c;
      } else if (peek() == '\'') {
        made.text += text_[at_++];
      } else {
        return made;
      }
    }
    return fail(atColumn(made.column, "the string has no end"));
  }

  Result<Expression> integer() {
    Expression made{Expression::Kind::Integer, {}, 0, false, at_ + 1};
    const std::size_t sign = peek() == '+' ? 1 : 0;
    const char* begin = text_.data() + at_ + sign;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), made.number);
    if (error == std::errc::result_out_of_range)
      return fail(atColumn(made.column, "the integer has too many digits"));
    const bool two_signs = sign == 1 && *begin == '-';
    if (error != std::errc{} || two_signs) return fail(unexpected("an integer"));
    at_ = static_cast<std::size_t>(end - text_.data());
    if (startsName(peek())) return fail(unexpected("the end of the integer"));
    return made;
  }

  std::string name() {
    std::string word;
    while (continuesName(peek())) word += text_[at_++];
    return word;
  }

  Result<Expression> call(std::size_t depth) {
    Expression made{Expression::Kind::Call, name(), 0, false, at_ + 1};
    made.column -= made.text.size();
    while (peek() == '.') {
      ++at_;
      if (!startsName(peek())) return fail(unexpected("a name"));
      made.text += "." + name();
    }
    skipBlanks();
    if (!take('(')) return fail(unexpected("'(' after " + made.text));
    skipBlanks();
    if (take(')')) return made;
    while (true) {
      TRY(Expression argument, expression(depth + 1));
      made.children.push_back(std::move(argument));
      skipBlanks();
      if (take(')')) return made;
      if (!take(',')) return fail(unexpected("',' or ')'"));
    }
  }

  Result<Expression> postfixes(Expression left, std::size_t depth) {
    for (std::size_t links = depth;; ++links) {
      skipBlanks();
      const char next = peek();
      if ((next != '.' && next != '[') || at_ + 1 >= text_.size()) return left;
      if (links >= kMaxDepth)
        return fail(atColumn(at_ + 1, "nested deeper than " + std::to_string(kMaxDepth)));
      Expression outer{
          next == '.' ? Expression::Kind::Property : Expression::Kind::Index, {}, 0, false, at_ + 1};
      ++at_;
      outer.safe = take('?');
      outer.children.push_back(std::move(left));
      if (next == '.') {
        skipBlanks();
        if (!startsName(peek())) return fail(unexpected("a property's name"));
        outer.text = name();
      } else {
        TRY(Expression index, expression(links + 1));
        outer.children.push_back(std::move(index));
        skipBlanks();
        if (at_ + 1 >= text_.size() || !take(']')) return fail(unexpected("']'"));
      }
      left = std::move(outer);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool isExpression(std::string_view text) {
  return text.size() >= 2 && text.front() == '[' && text[1] != '[' && text.back() == ']';
}

std::string literal(std::string_view text) {
  return std::string(text.starts_with("[[") ? text.substr(1) : text);
}

Result<Expression> parseExpression(std::string_view text) {
  if (!isExpression(text)) return fail(atColumn(1, "an expression stands in brackets"));
  if (text.size() > kMaxExpressionBytes) {
    return fail(atColumn(1, "longer than " + std::to_string(kMaxExpressionBytes) + " bytes"));
  }
  return Parser(text).parse();
}

namespace {

void write(const Expression& expression, std::string& out) {
  switch (expression.kind) {
    case Expression::Kind::Text:
      out += '\'';
      for (const char c : expression.text) out.append(c == '\'' ? 2 : 1, c);
      out += '\'';
      return;
    case Expression::Kind::Integer:
      out += std::to_string(expression.number);
      return;
    case Expression::Kind::Call:
      out += expression.text + "(";
      for (std::size_t i = 0; i < expression.children.size(); ++i) {
        if (i > 0) out += ", ";
        write(expression.children[i], out);
      }
      out += ')';
      return;
    case Expression::Kind::Property:
      write(expression.children[0], out);
      out += (expression.safe ? ".?" : ".") + expression.text;
      return;
    case Expression::Kind::Index:
      write(expression.children[0], out);
      out += expression.safe ? "[?" : "[";
      write(expression.children[1], out);
      out += ']';
      return;
  }
}

}  // namespace

std::string toText(const Expression& expression) {
  std::string out = "[";
  write(expression, out);
  return out + "]";
}

}  // namespace berth::arm_template
