#include "runtime/text/jinja/parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

#include "runtime/text/jinja/lexer.h"
#include "runtime/text/jinja/text.h"

namespace weft::jinja {

namespace {

using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  Block run() {
    Block block = parse_block({});
    return block;
  }

 private:
  // --- tokens ---

  const Token& current() const { return tokens_[next_]; }
  const Token& look() const { return tokens_[std::min(next_ + 1, tokens_.size() - 1)]; }
  Token take() {
    Token token = current();
    if (token.type != TokenType::end) ++next_;
    return token;
  }
  [[noreturn]] void fail(uint32_t at, std::string message) const { throw SyntaxFault{at, std::move(message)}; }
  std::string described(const Token& token) const {
    switch (token.type) {
      case TokenType::end: return "the end of the template";
      case TokenType::data: return "text";
      case TokenType::string: return "a string";
      default: return "'" + token.text + "'";
    }
  }
  bool skip_symbol(std::string_view symbol) {
    if (!current().is_symbol(symbol)) return false;
    take();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!current().is_name(name)) return false;
    take();
    return true;
  }
  void expect_symbol(std::string_view symbol) {
    if (!skip_symbol(symbol)) {
      fail(current().at, "expected '" + std::string(symbol) + "', got " + described(current()));
    }
  }
  void expect(TokenType type, const char* what) {
    if (current().type != type) fail(current().at, std::string("expected ") + what + ", got " + described(current()));
    take();
  }
  std::string expect_name(const char* what) {
    if (current().type != TokenType::name) {
      fail(current().at, std::string("expected ") + what + ", got " + described(current()));
    }
    return take().text;
  }

  // --- nodes ---

  // One more level of nesting during its lifetime.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.level_ > kMaxNesting) parser_.fail(parser_.current().at, kTooDeep);
    }
    ~Level() { --parser_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };
  static constexpr const char* kTooDeep = "more than 300 levels of nesting";

  ExpressionPtr make(Op op, uint32_t at) const {
    auto node = std::make_unique<Expression>();
    node->op = op;
    node->at = at;
    return node;
  }
  void add_part(Expression& node, ExpressionPtr part) const {
    if (part != nullptr) note_depth(node, *part);
    node.parts.push_back(std::move(part));
  }
  void note_depth(Expression& node, const Expression& part) const {
    node.depth = std::max(node.depth, part.depth + 1);
    if (node.depth > kMaxNesting) fail(node.at, kTooDeep);
  }
  ExpressionPtr binary(Op op, uint32_t at, ExpressionPtr left, ExpressionPtr right) const {
    ExpressionPtr node = make(op, at);
    add_part(*node, std::move(left));
    add_part(*node, std::move(right));
    return node;
  }
  ExpressionPtr constant(uint32_t at, Value value) const {
    ExpressionPtr node = make(Op::constant, at);
    node->value = std::move(value);
    return node;
  }

  // --- expressions, in order of precedence ---

  ExpressionPtr parse_expression(bool with_conditional = true) {
    const Level level(*this);
    ExpressionPtr value = parse_or();
    while (with_conditional && current().is_name("if")) {
      const uint32_t at = take().at;
      ExpressionPtr node = make(Op::conditional, at);
      add_part(*node, parse_or());
      add_part(*node, std::move(value));
      add_part(*node, skip_name("else") ? parse_expression() : nullptr);
      value = std::move(node);
    }
    return value;
  }

  ExpressionPtr parse_or() {
    ExpressionPtr left = parse_and();
    while (current().is_name("or")) {
      const uint32_t at = take().at;
      left = binary(Op::logical_or, at, std::move(left), parse_and());
    }
    return left;
  }

  ExpressionPtr parse_and() {
    ExpressionPtr left = parse_not();
    while (current().is_name("and")) {
      const uint32_t at = take().at;
      left = binary(Op::logical_and, at, std::move(left), parse_not());
    }
    return left;
  }

  ExpressionPtr parse_not() {
    if (!current().is_name("not")) return parse_compare();
    const Level level(*this);
    ExpressionPtr node = make(Op::logical_not, take().at);
    add_part(*node, parse_not());
    return node;
  }

  ExpressionPtr parse_compare() {
    ExpressionPtr first = parse_sum();
    ExpressionPtr node;
    while (true) {
      const uint32_t at = current().at;
      Comparison comparison;
      if (skip_symbol("==")) {
        comparison = Comparison::equal;
      } else if (skip_symbol("!=")) {
        comparison = Comparison::unequal;
      } else if (skip_symbol("<")) {
        comparison = Comparison::less;
      } else if (skip_symbol("<=")) {
        comparison = Comparison::less_equal;
      } else if (skip_symbol(">")) {
        comparison = Comparison::greater;
      } else if (skip_symbol(">=")) {
        comparison = Comparison::greater_equal;
      } else if (skip_name("in")) {
        comparison = Comparison::in;
      } else if (current().is_name("not") && look().is_name("in")) {
        take();
        take();
        comparison = Comparison::not_in;
      } else {
        break;
      }
      if (node == nullptr) {
        node = make(Op::compare, at);
        add_part(*node, std::move(first));
      }
      node->comparisons.push_back(comparison);
      add_part(*node, parse_sum());
    }
    return node == nullptr ? std::move(first) : std::move(node);
  }

  ExpressionPtr parse_sum() {
    ExpressionPtr left = parse_concat();
    while (current().is_symbol("+") || current().is_symbol("-")) {
      const Token sign = take();
      left = binary(sign.text == "+" ? Op::add : Op::subtract, sign.at, std::move(left), parse_concat());
    }
    return left;
  }

  ExpressionPtr parse_concat() {
    ExpressionPtr first = parse_product();
    if (!current().is_symbol("~")) return first;
    ExpressionPtr node = make(Op::concat, current().at);
    add_part(*node, std::move(first));
    while (skip_symbol("~")) add_part(*node, parse_product());
    return node;
  }

  ExpressionPtr parse_product() {
    ExpressionPtr left = parse_power();
    while (true) {
      const Token& sign = current();
      const Op op = sign.is_symbol("*")    ? Op::multiply
                    : sign.is_symbol("/")  ? Op::divide
                    : sign.is_symbol("//") ? Op::floor_divide
                    : sign.is_symbol("%")  ? Op::modulo
                                           : Op::constant;
      if (op == Op::constant) return left;
      const uint32_t at = take().at;
      left = binary(op, at, std::move(left), parse_power());
    }
  }

  ExpressionPtr parse_power() {  // to the left, as in Jinja
    ExpressionPtr left = parse_unary(true);
    while (current().is_symbol("**")) {
      const uint32_t at = take().at;
      left = binary(Op::power, at, std::move(left), parse_unary(true));
    }
    return left;
  }

  ExpressionPtr parse_unary(bool with_filter) {
    ExpressionPtr node;
    if (current().is_symbol("-") || current().is_symbol("+")) {
      const Level level(*this);
      const Token sign = take();
      node = make(sign.text == "-" ? Op::negate : Op::plus, sign.at);
      add_part(*node, parse_unary(false));
    } else {
      node = parse_primary();
    }
    node = parse_postfix(std::move(node));
    if (with_filter) node = parse_filters_and_tests(std::move(node));
    return node;
  }

  ExpressionPtr parse_primary() {
    const Token token = current();
    switch (token.type) {
      case TokenType::name: {
        take();
        if (token.text == "true" || token.text == "True") return constant(token.at, Value::boolean(true));
        if (token.text == "false" || token.text == "False") return constant(token.at, Value::boolean(false));
        if (token.text == "none" || token.text == "None") return constant(token.at, Value::none());
        ExpressionPtr node = make(Op::name, token.at);
        node->name = token.text;
        return node;
      }
      case TokenType::string: {
        std::string text;
        while (current().type == TokenType::string) text += take().text;
        return constant(token.at, Value::text(std::move(text)));
      }
      case TokenType::integer: {
        take();
        try {
          return constant(token.at, Value::integer(*parse_integer(token.text, 0)));
        } catch (const Fault& fault) {
          fail(token.at, fault.message);
        }
      }
      case TokenType::real: take(); return constant(token.at, Value::real(*parse_real(token.text)));
      default: break;
    }
    if (skip_symbol("(")) {
      ExpressionPtr node = parse_tuple(true, {}, true);
      expect_symbol(")");
      return node;
    }
    if (skip_symbol("[")) {
      ExpressionPtr node = make(Op::list, token.at);
      while (!current().is_symbol("]")) {
        if (!node->parts.empty()) expect_symbol(",");
        if (current().is_symbol("]")) break;
        add_part(*node, parse_expression());
      }
      expect_symbol("]");
      return node;
    }
    if (skip_symbol("{")) {
      ExpressionPtr node = make(Op::dict, token.at);
      while (!current().is_symbol("}")) {
        if (!node->parts.empty()) expect_symbol(",");
        if (current().is_symbol("}")) break;
        add_part(*node, parse_expression());
        expect_symbol(":");
        add_part(*node, parse_expression());
      }
      expect_symbol("}");
      return node;
    }
    fail(token.at, "unexpected " + described(token));
  }

  bool at_tuple_end(Names end) const {
    if (current().type == TokenType::output_end || current().type == TokenType::block_end) return true;
    if (current().is_symbol(")")) return true;
    return std::any_of(end.begin(), end.end(), [&](std::string_view name) { return current().is_name(name); });
  }

  // One expression, or several separated by commas, which form a tuple.
  ExpressionPtr parse_tuple(bool with_conditional = true, Names end = {}, bool in_parentheses = false) {
    const uint32_t at = current().at;
    ExpressionPtr tuple = make(Op::tuple, at);
    bool is_tuple = false;
    while (true) {
      if (!tuple->parts.empty()) expect_symbol(",");
      if (at_tuple_end(end)) break;
      add_part(*tuple, parse_expression(with_conditional));
      if (!current().is_symbol(",")) break;
      is_tuple = true;
    }
    if (is_tuple) return tuple;
    if (!tuple->parts.empty()) return std::move(tuple->parts[0]);
    if (!in_parentheses) fail(current().at, "expected an expression, got " + described(current()));
    return tuple;
  }

  ExpressionPtr parse_postfix(ExpressionPtr node) {
    while (true) {
      if (current().is_symbol(".")) {
        const uint32_t at = take().at;
        if (current().type == TokenType::name) {
          ExpressionPtr attribute = make(Op::attribute, current().at);
          attribute->name = take().text;
          add_part(*attribute, std::move(node));
          node = std::move(attribute);
        } else if (current().type == TokenType::integer) {
          node = binary(Op::item, at, std::move(node), parse_primary());
        } else {
          fail(current().at, "expected a name or a number, got " + described(current()));
        }
      } else if (current().is_symbol("[")) {
        const uint32_t at = take().at;
        node = binary(Op::item, at, std::move(node), parse_subscript());
        expect_symbol("]");
      } else if (current().is_symbol("(")) {
        node = parse_call(std::move(node));
      } else {
        return node;
      }
    }
  }

  ExpressionPtr parse_subscript() {
    const uint32_t at = current().at;
    ExpressionPtr tuple = make(Op::tuple, at);
    while (!current().is_symbol("]")) {
      if (!tuple->parts.empty()) expect_symbol(",");
      add_part(*tuple, parse_subscript_part());
    }
    return tuple->parts.size() == 1 ? std::move(tuple->parts[0]) : std::move(tuple);
  }

  ExpressionPtr parse_subscript_part() {
    const uint32_t at = current().at;
    const auto ends = [&] { return current().is_symbol("]") || current().is_symbol(","); };
    ExpressionPtr begin;
    if (!current().is_symbol(":")) {
      begin = parse_expression();
      if (!current().is_symbol(":")) return begin;
    }
    take();
    ExpressionPtr slice = make(Op::slice, at);
    add_part(*slice, std::move(begin));
    add_part(*slice, ends() || current().is_symbol(":") ? nullptr : parse_expression());
    const bool has_step = skip_symbol(":");
    add_part(*slice, !has_step || ends() ? nullptr : parse_expression());
    return slice;
  }

  ExpressionPtr parse_call(ExpressionPtr function) {
    ExpressionPtr node = make(Op::call, function->at);
    add_part(*node, std::move(function));
    parse_arguments(*node);
    return node;
  }

  void parse_arguments(Expression& node) {
    const uint32_t at = current().at;
    expect_symbol("(");
    bool star = false, double_star = false, named = false, first = true;
    while (!current().is_symbol(")")) {
      if (!first) {
        expect_symbol(",");
        if (current().is_symbol(")")) break;
      }
      first = false;
      Argument argument{Argument::Kind::positional, "", nullptr};
      bool valid = !double_star;
      if (skip_symbol("*")) {
        argument.kind = Argument::Kind::star;
        valid = valid && !star;
        star = true;
      } else if (skip_symbol("**")) {
        argument.kind = Argument::Kind::double_star;
        double_star = true;
      } else if (current().type == TokenType::name && look().is_symbol("=")) {
        argument.kind = Argument::Kind::named;
        argument.name = take().text;
        take();
        named = true;
      } else {
        valid = valid && !star && !named;
      }
      if (!valid) fail(at, "these arguments are in no valid order");
      argument.value = parse_expression();
      note_depth(node, *argument.value);
      node.arguments.push_back(std::move(argument));
    }
    expect_symbol(")");
  }

  ExpressionPtr parse_filters_and_tests(ExpressionPtr node) {
    while (true) {
      if (current().is_symbol("|")) {
        node = parse_filters(std::move(node));
      } else if (current().is_name("is")) {
        node = parse_test(std::move(node));
      } else if (current().is_symbol("(")) {
        node = parse_call(std::move(node));
      } else {
        return node;
      }
    }
  }

  std::string parse_dotted_name(const char* what) {
    std::string name = expect_name(what);
    while (skip_symbol(".")) name += "." + expect_name(what);
    return name;
  }

  ExpressionPtr parse_filter(ExpressionPtr node) {
    ExpressionPtr filter = make(Op::filter, current().at);
    filter->name = parse_dotted_name("the name of a filter");
    add_part(*filter, std::move(node));
    if (current().is_symbol("(")) parse_arguments(*filter);
    return filter;
  }

  ExpressionPtr parse_filters(ExpressionPtr node) {
    while (skip_symbol("|")) node = parse_filter(std::move(node));
    return node;
  }

  ExpressionPtr parse_test(ExpressionPtr value) {
    const Level level(*this);
    take();
    const bool negated = skip_name("not");
    ExpressionPtr test = make(Op::test, current().at);
    test->name = parse_dotted_name("the name of a test");
    add_part(*test, std::move(value));
    const Token& next = current();
    const bool begins_value = next.type == TokenType::name || next.type == TokenType::string ||
                              next.type == TokenType::integer || next.type == TokenType::real || next.is_symbol("[") ||
                              next.is_symbol("{");
    if (next.is_symbol("(")) {
      parse_arguments(*test);
    } else if (begins_value && !next.is_name("else") && !next.is_name("or") && !next.is_name("and")) {
      if (next.is_name("is")) fail(next.at, "tests with 'is' cannot be chained");
      Argument argument{Argument::Kind::positional, "", parse_postfix(parse_primary())};
      note_depth(*test, *argument.value);
      test->arguments.push_back(std::move(argument));
    }
    if (!negated) return test;
    ExpressionPtr node = make(Op::logical_not, test->at);
    add_part(*node, std::move(test));
    return node;
  }

  // --- statements ---

  // Up to one of the tags in `end` (which is then current), or up to the end of the template if there are none.
  Block parse_block(Names end) {
    const Level level(*this);
    Block block;
    while (current().type != TokenType::end) {
      const Token token = take();
      if (token.type == TokenType::data) {
        Statement& text = add(block, Statement::Kind::text, token.at);
        text.text = token.text;
      } else if (token.type == TokenType::output_begin) {
        Statement& output = add(block, Statement::Kind::output, token.at);
        output.expression = parse_tuple();
        expect(TokenType::output_end, "'}}'");
      } else {
        for (const std::string_view name : end) {
          if (current().is_name(name)) return block;
        }
        parse_statement(block, end);
        expect(TokenType::block_end, "'%}'");
      }
    }
    if (end.size() > 0)
      fail(current().at, "the end of the template comes before '" + std::string(*(end.end() - 1)) + "'");
    return block;
  }

  static Statement& add(Block& block, Statement::Kind kind, uint32_t at) {
    block.emplace_back();
    block.back().kind = kind;
    block.back().at = at;
    return block.back();
  }

  // The "%}" of the tag that opens it, a block, and the name of the tag that ends it.
  Block parse_body(Names end) {
    skip_symbol(":");
    expect(TokenType::block_end, "'%}'");
    return parse_block(end);
  }
  Block parse_whole_body(std::string_view end) {
    Block block = parse_body({end});
    take();
    return block;
  }

  void parse_statement(Block& block, Names end) {
    const Token tag = current();
    if (tag.type != TokenType::name) fail(tag.at, "expected the name of a tag, got " + described(tag));
    const auto begin = [&](Statement::Kind kind) -> Statement& {
      take();
      return add(block, kind, tag.at);
    };
    if (tag.text == "if") return parse_if(begin(Statement::Kind::branches));
    if (tag.text == "for") return parse_for(begin(Statement::Kind::loop));
    if (tag.text == "set") return parse_set(begin(Statement::Kind::set));
    if (tag.text == "macro") return parse_macro(begin(Statement::Kind::macro));
    if (tag.text == "call") return parse_call_block(begin(Statement::Kind::call_block));
    if (tag.text == "with") return parse_with(begin(Statement::Kind::with));
    if (tag.text == "filter") {
      Statement& filter = begin(Statement::Kind::filter_block);
      filter.expression = parse_filters(parse_filter(nullptr));
      filter.block = parse_whole_body("endfilter");
      return;
    }
    if (tag.text == "generation") {  // marks what the model is to learn; it does not change the text
      Statement& scope = begin(Statement::Kind::scope);
      const int loops = std::exchange(loops_, 0);
      scope.block = parse_whole_body("endgeneration");
      loops_ = loops;
      return;
    }
    if (tag.text == "break" || tag.text == "continue") {
      if (loops_ == 0) fail(tag.at, "'" + tag.text + "' is outside of a loop");
      begin(tag.text == "break" ? Statement::Kind::break_loop : Statement::Kind::continue_loop);
      return;
    }
    if (tag.text == "print") return parse_print(block);
    constexpr std::array<std::string_view, 6> kNotForChats = {"block",  "extends", "include",
                                                              "import", "from",    "autoescape"};
    if (std::find(kNotForChats.begin(), kNotForChats.end(), tag.text) != kNotForChats.end()) {
      fail(tag.at, "the tag '" + tag.text + "' is not supported");
    }
    if (end.size() == 0 || !tag.text.starts_with("end")) fail(tag.at, "the tag '" + tag.text + "' is not known");
    fail(tag.at, "'" + tag.text + "' where '" + std::string(*(end.end() - 1)) + "' is expected");
  }

  void parse_if(Statement& statement) {
    while (true) {
      ExpressionPtr condition = parse_tuple(false);
      Block block = parse_body({"elif", "else", "endif"});
      statement.branches.push_back({std::move(condition), std::move(block)});
      const std::string next = take().text;
      if (next == "elif") continue;
      if (next == "else") statement.branches.push_back({nullptr, parse_whole_body("endif")});
      return;
    }
  }

  void parse_for(Statement& statement) {
    ++loops_;
    statement.target = parse_target({"in"}, false);
    if (!skip_name("in")) fail(current().at, "expected 'in', got " + described(current()));
    statement.expression = parse_tuple(false, {"recursive"});
    if (skip_name("if")) statement.condition = parse_expression();
    statement.recursive = skip_name("recursive");
    statement.block = parse_body({"else", "endfor"});
    --loops_;
    if (take().text == "else") statement.otherwise = parse_whole_body("endfor");
  }

  void parse_set(Statement& statement) {
    statement.target = parse_target({}, true);
    if (skip_symbol("=")) {
      statement.expression = parse_tuple();
      return;
    }
    statement.kind = Statement::Kind::set_block;
    statement.expression = parse_filters(nullptr);
    statement.block = parse_whole_body("endset");
  }

  // Names, attributes of namespaces, and tuples of them.
  Target parse_target(Names end, bool with_namespace) {
    const Level level(*this);
    Target tuple;
    tuple.at = current().at;
    while (true) {
      if (!tuple.parts.empty()) expect_symbol(",");
      if (at_tuple_end(end) || current().is_symbol("=")) break;
      tuple.parts.push_back(parse_single_target(with_namespace));
      if (!current().is_symbol(",")) break;
      tuple.is_tuple = true;
    }
    if (tuple.is_tuple) return tuple;
    if (tuple.parts.empty()) fail(current().at, "expected a name, got " + described(current()));
    Target single = std::move(tuple.parts[0]);
    return single;
  }

  Target parse_single_target(bool with_namespace) {
    if (skip_symbol("(")) {
      Target tuple = parse_target({}, with_namespace);
      expect_symbol(")");
      return tuple;
    }
    Target target;
    target.at = current().at;
    target.name = expect_name("a name");
    constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), target.name) != kConstants.end()) {
      fail(target.at, "'" + target.name + "' cannot be assigned to");
    }
    if (with_namespace && skip_symbol(".")) {
      target.attribute = expect_name("a name");
    } else if (target.name == "loop" && loops_ > 0) {
      fail(target.at, "'loop' cannot be assigned to inside of a loop");
    }
    return target;
  }

  void parse_parameters(Statement& statement) {
    expect_symbol("(");
    bool with_fallback = false;
    while (!current().is_symbol(")")) {
      if (!statement.parameters.empty()) expect_symbol(",");
      Parameter parameter;
      const uint32_t at = current().at;
      parameter.name = expect_name("the name of a parameter");
      if (skip_symbol("=")) {
        parameter.fallback = parse_expression();
        with_fallback = true;
      } else if (with_fallback) {
        fail(at, "a parameter without a default follows one with a default");
      }
      statement.parameters.push_back(std::move(parameter));
    }
    expect_symbol(")");
  }

  // The block of a macro, and which of the special names it uses.
  void parse_macro_body(Statement& statement, std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    const size_t begin = next_;
    statement.block = parse_whole_body(end);
    loops_ = loops;
    const auto is_parameter = [&](std::string_view name) {
      return std::any_of(statement.parameters.begin(), statement.parameters.end(),
                         [&](const Parameter& parameter) { return parameter.name == name; });
    };
    const auto mentions = [&](std::string_view name) {
      return !is_parameter(name) && std::any_of(tokens_.begin() + static_cast<std::ptrdiff_t>(begin),
                                                tokens_.begin() + static_cast<std::ptrdiff_t>(next_),
                                                [&](const Token& token) { return token.is_name(name); });
    };
    statement.uses_varargs = mentions("varargs");
    statement.uses_kwargs = mentions("kwargs");
    statement.uses_caller = mentions("caller");
  }

  void parse_macro(Statement& statement) {
    statement.text = expect_name("the name of a macro");
    parse_parameters(statement);
    parse_macro_body(statement, "endmacro");
  }

  void parse_call_block(Statement& statement) {
    if (current().is_symbol("(")) parse_parameters(statement);
    const uint32_t at = current().at;
    statement.expression = parse_expression();
    if (statement.expression->op != Op::call) fail(at, "expected a call");
    parse_macro_body(statement, "endcall");
  }

  void parse_with(Statement& statement) {
    while (current().type != TokenType::block_end) {
      if (!statement.assignments.empty()) expect_symbol(",");
      Target target = parse_target({}, false);
      expect_symbol("=");
      statement.assignments.push_back({std::move(target), parse_expression()});
    }
    statement.block = parse_whole_body("endwith");
  }

  void parse_print(Block& block) {
    const uint32_t at = take().at;
    bool first = true;
    while (current().type != TokenType::block_end) {
      if (!first) expect_symbol(",");
      first = false;
      ExpressionPtr value = parse_expression();
      add(block, Statement::Kind::output, at).expression = std::move(value);
    }
  }

  std::vector<Token> tokens_;
  size_t next_ = 0;
  int level_ = 0, loops_ = 0;
};

}  // namespace

Block parse(std::string_view source) { return Parser(source).run(); }

}  // namespace weft::jinja
