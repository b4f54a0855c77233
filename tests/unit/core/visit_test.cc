// What the visitor of core/record/visit.h comes by, and in which order.
#include "core/record/visit.h"

#include <gtest/gtest.h>

#include <vector>

namespace weft {
namespace {

// A program that is told from others by its constant.
ScalarProgram numbered(int number) {
  ScalarProgram program;
  program.add({.op = ScalarOp::constant, .type = Element::i32, .imm = number});
  return program;
}

int number_of(const ScalarProgram& program) { return program.code.front().imm; }

// Programs, sources and operands are numbered from 10 * `first` on, in the order in which they are to be visited.
Region region_from(int first) {
  const int at = 10 * first;
  Region region;
  region.operands = {{static_cast<ValueId>(at), {}}, {static_cast<ValueId>(at + 1), {}}};
  region.lhs = {{{}, kNoAxis, {}, numbered(at)},
                {{}, 5, {{ReduceOp::max, numbered(at + 1)}, {ReduceOp::sum, numbered(at + 2)}}, numbered(at + 3)}};
  region.body = {{}, 5, {{ReduceOp::mean, numbered(at + 4)}}, numbered(at + 5)};
  region.post = numbered(at + 6);
  return region;
}

Step step_of_two() {
  Step step;
  step.regions = {region_from(0), region_from(1)};
  step.regions[1].post = {};
  return step;
}

template <class Record>
std::vector<ValueId> operands(const Record& record) {
  std::vector<ValueId> seen;
  for_each_operand(record, [&](const Operand& operand) { seen.push_back(operand.value); });
  return seen;
}

template <class Record>
std::vector<int> sources(const Record& record) {
  std::vector<int> seen;
  for_each_source(record, [&](const Source& source) { seen.push_back(number_of(source.program)); });
  return seen;
}

template <class Record>
std::vector<int> programs(const Record& record) {
  std::vector<int> seen;
  for_each_program(record, [&](const ScalarProgram& program) { seen.push_back(number_of(program)); });
  return seen;
}

TEST(Visit, OperandsInTheirOrder) {
  EXPECT_EQ(operands(region_from(0)), (std::vector<ValueId>{0, 1}));
  EXPECT_EQ(operands(step_of_two()), (std::vector<ValueId>{0, 1, 10, 11}));
  EXPECT_TRUE(operands(Region{}).empty());
  EXPECT_TRUE(operands(Step{}).empty());
}

TEST(Visit, ProloguesThenTheBody) {
  EXPECT_EQ(sources(region_from(0)), (std::vector<int>{0, 3, 5}));
  EXPECT_EQ(sources(step_of_two()), (std::vector<int>{0, 3, 5, 10, 13, 15}));
}

TEST(Visit, ProgramsOfSourcesThenPost) {
  EXPECT_EQ(programs(region_from(0).lhs[1]), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(programs(region_from(0)), (std::vector<int>{0, 1, 2, 3, 4, 5, 6}));
  // An empty `post` is nothing to do, not a program.
  EXPECT_EQ(programs(step_of_two()), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15}));
}

TEST(Visit, ASinkBetweenTheScoreAndPost) {
  Region region = region_from(0);
  region.attention.emplace();
  EXPECT_EQ(programs(region), (std::vector<int>{0, 1, 2, 3, 4, 5, 6}));
  region.attention->sink = numbered(40);
  EXPECT_EQ(programs(region), (std::vector<int>{0, 1, 2, 3, 4, 5, 40, 6}));
}

TEST(Visit, PartsOfAStepCanBeChanged) {
  Step step = step_of_two();
  for_each_program(step, [](ScalarProgram& program) { ++program.code.front().imm; });
  for_each_operand(step, [](Operand& operand) { operand.value += 100; });
  for_each_source(step, [](Source& source) { source.axes = {7}; });
  EXPECT_EQ(programs(step), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 16}));
  EXPECT_EQ(operands(step), (std::vector<ValueId>{100, 101, 110, 111}));
  EXPECT_EQ(step.regions[0].lhs[1].axes, std::vector<AxisId>{7});
  EXPECT_EQ(step.regions[1].body.axes, std::vector<AxisId>{7});
}

}  // namespace
}  // namespace weft
