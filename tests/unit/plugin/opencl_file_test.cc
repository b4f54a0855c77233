// Declarations of kernels in OpenCL C: what is read of them, and what is refused.
#include "ops/plugin/opencl_file.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace weft {
namespace {

constexpr const char* kFunction = "void f(global const float* x) {}\n";

std::string error_of(const std::string& text) {
  try {
    (void)parse_opencl_file("mine.cl", text);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(OpenClFile, ReadsDeclarations) {
  const auto [kernels, products] = parse_opencl_file("mine.cl", R"cl(
// WEFT_KERNEL(none, .computes = "x + x")
/* WEFT_KERNEL(none, .computes = "x + x") */
#define WEFT_KERNEL(...) \
  WEFT_KERNEL(none, .computes = "x + x")
 # define N(x) 2
constant char text[] = "WEFT_KERNEL(none)", quote = '"';
void f(int x) { it's; }
WEFT_KERNEL(f, .computes = "x * $by" " + $to",
            .work_items = 32,  // a few
            .shared = 7)
static void g () {}
WEFT_KERNEL ( g , .computes = "op turn(x, w)", .widths = "64 128", .columns = 256)
void h(int x) {}
WEFT_KERNEL(h, .computes = "contract", .formats = "Q4_0", .tile = 4, .first_rows = 2, .last_rows = 8)
)cl");
  ASSERT_EQ(kernels.size(), 2u);
  ASSERT_EQ(products.size(), 1u);
  EXPECT_EQ(kernels[0].name, "f");
  EXPECT_EQ(kernels[0].formula->text, "x * $by + $to");
  EXPECT_EQ(kernels[0].work_items, 32);
  EXPECT_EQ(kernels[0].shared, 7);
  EXPECT_EQ(kernels[0].columns, 0);
  ASSERT_EQ(kernels[0].file->functions.size(), 3u);
  EXPECT_EQ(kernels[0].file->functions[0].line, 9);
  EXPECT_EQ(kernels[0].file->functions[0].parameters,
            "__global const float*, __global float*, float, float, int, __local float*");
  EXPECT_EQ(kernels[0].file->where("f"), "kernel file 'mine.cl', kernel 'f'");
  EXPECT_EQ(kernels[1].name, "g");
  EXPECT_EQ(kernels[1].formula->op, "turn");
  EXPECT_EQ(kernels[1].widths, (std::vector<int64_t>{64, 128}));
  EXPECT_EQ(kernels[1].work_items, 64);
  EXPECT_EQ(kernels[1].shared, 64);
  EXPECT_EQ(kernels[1].columns, 256);
  EXPECT_EQ(kernels[0].file->functions[1].line, 13);
  EXPECT_EQ(kernels[0].file->functions[1].parameters,
            "__global const float*, __global const float*, __global float*, int, int, int, __local float*");
  EXPECT_EQ(kernels[0].file->macros, std::vector<std::string>{"N"});
  EXPECT_EQ(kernels[1].file, kernels[0].file);
  EXPECT_EQ(products[0].name, "h");
  EXPECT_EQ(products[0].formats, std::vector<Format>{Format::q4_0});
  EXPECT_EQ(products[0].activations.tile, 4);
  EXPECT_EQ(products[0].first_rows, 2);
  EXPECT_EQ(products[0].last_rows, 8);
  EXPECT_EQ(kernels[0].file->functions[2].parameters,
            "__global const float**, __global const uchar*, int, int, int, float*");
}

TEST(OpenClFile, NamesTheLineOfWhatIsWrong) {
  const auto of = [](const std::string& declaration) { return error_of(kFunction + declaration); };
  const std::string in_line_2 = "kernel file 'mine.cl', line 2: ";
  const std::pair<const char*, const char*> kWrong[] = {
      {"WEFT_KERNEL", "'(' is missing"},
      {"WEFT_KERNEL()", "a name is missing"},
      {"WEFT_KERNEL(f", "')' is missing"},
      {"WEFT_KERNEL(f)", "'computes' is missing"},
      {"WEFT_KERNEL(f, computes = \"x\")", "'.' is missing"},
      {"WEFT_KERNEL(f, .computes \"x\")", "'=' is missing"},
      {"WEFT_KERNEL(f, .computes = x)", "a text in quotes is missing"},
      {"WEFT_KERNEL(f, .computes = \"x", "a text in quotes does not end"},
      {"WEFT_KERNEL(f, .computes = \"x\\n\")", "a text with a backslash"},
      {"WEFT_KERNEL(f, .computes = \"x +\")", "formula 'x +', character 4: a number, a name or '(' is missing"},
      {"WEFT_KERNEL(f, .computes = \"contract\")", "'formats' is to name one format"},
      {"WEFT_KERNEL(f, .computes = \"contract\", .formats = \"Q4_0 Q8_0\")", "'formats' is to name one format"},
      {"WEFT_KERNEL(f, .computes = \"contract\", .formats = \"Q4_9\")", "'formats': there is no format 'Q4_9'"},
      {"WEFT_KERNEL(f, .computes = \"contract\", .formats = \"Q4_0\", .tile = 33)", "a number from 1 to 32 is wanted"},
      {"WEFT_KERNEL(f, .computes = \"contract\", .formats = \"Q4_0\", .first_rows = 2, .last_rows = 1)",
       "kernel 'f': it is for no number of rows"},
      {"WEFT_KERNEL(f, .computes = \"contract\", .formats = \"Q4_0\", .shared = 1)", "'shared' is of formulas and ops"},
      {"WEFT_KERNEL(f, .computes = \"x + x\", .tile = 1)", "'tile' is of contractions"},
      {"WEFT_KERNEL(f, .is_reference = true)", "references are C++: another file declares this one"},
      {"WEFT_KERNEL(f, .format = 1)",
       "there is no field 'format'; there are computes, widths, work_items, columns and shared, and of contractions "
       "formats, tile, first_rows and last_rows"},
      {"WEFT_KERNEL(f, .shared = 1, .shared = 1)", "'shared' is there twice"},
      {"WEFT_KERNEL(f, .work_items = 0)", "a number from 1 to 1024 is wanted"},
      {"WEFT_KERNEL(f, .work_items = 1025)", "a number from 1 to 1024 is wanted"},
      {"WEFT_KERNEL(f, .work_items = 99999999999999999999)", "a number from 1 to 1024 is wanted"},
      {"WEFT_KERNEL(f, .columns = -1)", "a number from 1 to 1048576 is wanted"},
      {"WEFT_KERNEL(f, .shared = many)", "a number from 1 to 65536 is wanted"},
      {"WEFT_KERNEL(f, .computes = \"sum(x)\", .columns = 8)", "'columns' is of formulas that give a row"},
      {"WEFT_KERNEL(f, .computes = \"x + x\", .widths = \"64\")", "'widths' is of ops"},
      {"WEFT_KERNEL(f, .computes = \"op a(x)\", .widths = \"64 0\")", "'widths': '0' is no number from 1 to 1048576"},
      {"WEFT_KERNEL(g, .computes = \"x + x\")", "there is no function 'g'"},
      {"/* WEFT_KERNEL(f, .computes = \"x + x\")", "a comment does not end"},
  };
  for (const auto& [declaration, what] : kWrong) EXPECT_EQ(of(declaration), in_line_2 + what) << declaration;
  const std::string right = "WEFT_KERNEL(f, .computes = \"x + x\")\n";
  EXPECT_EQ(of(right), "no error");
  EXPECT_EQ(of(right + right), "kernel file 'mine.cl', line 3: there is a kernel of that name");
  std::string many = "op a(x0";
  for (int i = 1; i < 17; ++i) many += ", x" + std::to_string(i);
  EXPECT_EQ(of("WEFT_KERNEL(f, .computes = \"" + many + ")\")"), in_line_2 + "a kernel takes at most 16 inputs");
  EXPECT_EQ(error_of(kFunction), "kernel file 'mine.cl': it has no WEFT_KERNEL");
  EXPECT_EQ(error_of(std::string("x\0y", 3)), "kernel file 'mine.cl': it is no text");
  EXPECT_EQ(error_of(std::string(2 << 20, ' ')), "kernel file 'mine.cl': it is longer than 1048576 bytes");
}

TEST(OpenClFile, TakesNamesOnce) {
  const std::string text = "void once(int x) {}\nWEFT_KERNEL(once, .computes = \"x - x - x\")\n";
  const auto added = add_opencl_file("a.cl", text, PluginPlace::last).rows;
  ASSERT_EQ(added.size(), 1u);
  EXPECT_EQ(added[0], opencl_rows_table().find("once"));
  EXPECT_LT(added[0]->preference, 0);
  try {
    add_opencl_file("b.cl", text, PluginPlace::last);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "kernel file 'b.cl', kernel 'once': there is a kernel of that name");
  }
}

TEST(OpenClFile, SaysThatAFileCannotBeRead) {
  try {
    load_opencl_file("/nowhere/mine.cl", PluginPlace::last);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "kernel file '/nowhere/mine.cl': it cannot be read");
  }
}

}  // namespace
}  // namespace weft
