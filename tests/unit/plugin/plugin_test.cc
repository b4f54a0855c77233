// Kernels that a shared object adds to the table while the program runs: listed, tested like the built-in ones, and
// forced by name.
#include <gtest/gtest.h>

#include "core/error.h"
#include "runtime/plan/plan.h"
#include "tests/product_sums.h"
#include "tests/unit/plugin/plugin.h"

namespace weft {
namespace {

TEST(KernelPlugin, IsListed) {
  add_plugin();
  EXPECT_NE(cpu_kernel_names().find("plugin-dot"), std::string::npos);
  EXPECT_TRUE(kernel_table().has("plugin-wrong"));
}

TEST(KernelPlugin, TheTablesTestTellsRightFromWrong) {
  add_plugin();
  EXPECT_EQ(product_error(*kernel_table().find_product("plugin-dot"), Format::f32), "");
  EXPECT_NE(product_error(*kernel_table().find_product("plugin-wrong"), Format::f32), "");
}

TEST(KernelPlugin, CannotTakeAName) {
  add_plugin();
  ProductKernel row = *kernel_table().find_product("plugin-dot");
  EXPECT_THROW(kernel_table().add(row), Error);
  row.name = "f32-dot";
  EXPECT_THROW(kernel_table().add(row), Error);
  row.name = "nothing";
  row.formats = {Format::i32};
  EXPECT_THROW(kernel_table().add(row), Error);
  row.formats = {Format::q4_k};
  row.layout = {16, 4};
  row.run = nullptr;
  EXPECT_THROW(kernel_table().add(row), Error);
}

}  // namespace
}  // namespace weft
