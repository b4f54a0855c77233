// Formulas of kernel files, and how they are found in the records of steps.
#include "ops/plugin/formula.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "models/axes.h"
#include "ops/ops.h"

namespace weft {
namespace {

struct Operands {
  Graph graph;
  Value<f32, Pos, Embed> x = graph.input<f32, Pos, Embed>("x"), y = graph.input<f32, Pos, Embed>("y");
  Value<f32, Embed> w = graph.input<f32, Embed>("w");

  template <class E>
  std::optional<FormulaMatch> find(const char* formula, const E& expression) {
    graph.result(materialize(expression));
    return match(parse_formula(formula), graph.record()->steps.back().regions.front());
  }
  // The name of the value that stands for an input.
  std::string name_of(int operand) const {
    const GraphRecord& record = *graph.record();
    return record.values[record.steps.back().regions.front().operands[static_cast<size_t>(operand)].value].name;
  }
};

TEST(Formula, FindsNormsAndTheirConstants) {
  Operands of;
  const auto found = of.find("rms_norm(a, b, $eps)", rms_norm<Embed>(of.x, of.w, 0.25f));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(of.name_of(found->operands[0]), "x");
  EXPECT_EQ(of.name_of(found->operands[1]), "w");
  EXPECT_EQ(found->constants, std::vector<float>{0.25f});
  EXPECT_TRUE(of.find("a * rsqrt(mean(a * a) + $eps) * b", rms_norm<Embed>(of.x, of.w, 0.25f)).has_value());
  EXPECT_TRUE(of.find("softmax(a)", softmax<Embed>(of.x)).has_value());
  EXPECT_TRUE(of.find("l2_norm(a, $eps)", l2_norm<Embed>(of.x, 1e-6f)).has_value());
  EXPECT_TRUE(of.find("gelu(a) * softplus(b) + erf(log1p(a))", gelu(of.x) * softplus(of.y) + erf(log1p(of.x))));
  EXPECT_TRUE(of.find("rms_norm(a, $eps)", rms_norm<Embed>(of.x, 1e-6f)).has_value());
  EXPECT_FALSE(of.find("rms_norm(a, $eps)", rms_norm<Embed>(of.x, of.w, 1e-6f)).has_value());
  EXPECT_FALSE(of.find("softmax(a)", rms_norm<Embed>(of.x, 1e-6f)).has_value());
  EXPECT_FALSE(of.find("sum(a)", max<Embed>(of.x)).has_value());
}

TEST(Formula, FindsSumsAndProductsInAnyOrder) {
  Operands of;
  for (const char* text : {"silu(a) * b", "b * silu(a)", "b * (sigmoid(a) * a)"}) {
    const auto found = of.find(text, silu(of.x) * of.y);
    ASSERT_TRUE(found.has_value()) << text;
    const size_t gate = std::string(text).starts_with("silu") ? 0 : 1;
    EXPECT_EQ(of.name_of(found->operands[gate]), "x") << text;
    EXPECT_EQ(of.name_of(found->operands[1 - gate]), "y") << text;
  }
  EXPECT_FALSE(of.find("a - b", of.y + of.x).has_value());
  // An input is one value, and two inputs may be the same.
  EXPECT_FALSE(of.find("a * a", of.x * of.y).has_value());
  EXPECT_TRUE(of.find("a * b", of.x * of.x).has_value());
  // A number is that number, a constant any, the same wherever it stands.
  EXPECT_TRUE(of.find("a * 2 + 2", of.x * 2.0f + 2.0f).has_value());
  EXPECT_FALSE(of.find("a * 2 + 2", of.x * 2.0f + 3.0f).has_value());
  EXPECT_TRUE(of.find("a * $c + $d", of.x * 2.0f + 3.0f).has_value());
  EXPECT_FALSE(of.find("a * $c + $c", of.x * 2.0f + 3.0f).has_value());
}

TEST(Formula, SaysWhereItIsWrong) {
  const auto error_of = [](const std::string& text) {
    try {
      (void)parse_formula(text);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error_of("x + "), "formula 'x + ', character 5: a number, a name or '(' is missing");
  EXPECT_EQ(error_of("x y"), "formula 'x y', character 3: an operator is missing");
  EXPECT_EQ(error_of("(x"), "formula '(x', character 3: ')' is missing");
  EXPECT_EQ(error_of("2 * 3"), "formula '2 * 3', character 6: it has no input");
  EXPECT_EQ(error_of("x * cosh(x)"),
            "formula 'x * cosh(x)', character 5: there is no function 'cosh' of so many arguments");
  EXPECT_EQ(error_of("rms_norm(x)"),
            "formula 'rms_norm(x)', character 1: there is no function 'rms_norm' of so many arguments");
  EXPECT_EQ(error_of("x + mean(2)"), "formula 'x + mean(2)', character 12: 'mean' is of a row");
  EXPECT_NE(error_of(std::string(1000, '(')).find("nested too deeply"), std::string::npos);
  EXPECT_NE(error_of("x" + std::string(1000, '-') + "x").find("nested too deeply"), std::string::npos);
  EXPECT_NE(error_of(""), "no error");
  EXPECT_NE(error_of("$"), "no error");
}

}  // namespace
}  // namespace weft
