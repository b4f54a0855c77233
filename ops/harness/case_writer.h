// A CaseBuilder that also writes down each call, so that a generated case can be pasted into a test.
#pragma once

#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

class CaseWriter {
 public:
  CaseWriter(StepKind kind, const std::string& name, uint64_t seed);

  AxisId axis(const std::string& name, int64_t extent);
  AxisId key_axis(const std::string& name);
  int64_t extent(AxisId axis) const { return extents_[axis]; }
  const std::string& axis_name(AxisId axis) const { return axis_names_[axis]; }

  ValueId input(const std::string& name, const std::vector<AxisId>& axes, Format format, Fill fill);
  ValueId ids(const std::string& name, const std::vector<AxisId>& axes, int32_t low, int32_t high);
  ValueId weight(const std::string& name, const std::vector<AxisId>& axes, Format format, Fill fill);
  CaseCache cache(const CacheSpec& spec);

  int operand(ValueId value);
  int operand(ValueId value, const std::vector<ViewAxis>& view);
  int lhs(const std::vector<AxisId>& axes, const ScalarProgram& program, AxisId reduced = kNoAxis,
          const std::vector<Reduction>& reductions = {});
  int contraction(int lhs, int rhs, const std::vector<AxisId>& over);
  void body(const std::vector<AxisId>& axes, const ScalarProgram& program, AxisId reduced = kNoAxis,
            const std::vector<Reduction>& reductions = {});
  void attention(AxisId key, int value, bool statistics, const ScalarProgram& sink);
  void rotation(const Rotation& rotation);
  void post(const ScalarProgram& program);
  void selection(AxisId axis, AxisId choice, bool values);
  void append_to(const CaseCache& cache);
  void next_region();
  Region& region() { return builder_.region(); }
  StepCase build() { return builder_.build(); }

  // C++ that builds the same case: "CaseBuilder c(...); ... const StepCase step_case = c.build();"
  std::string code() const { return code_ + "const StepCase step_case = c.build();\n"; }

 private:
  void line(const std::string& text) { code_ += text + ";\n"; }
  std::string list(const std::vector<AxisId>& axes) const;
  std::string axis_text(AxisId axis) const;
  std::string source_arguments(const std::vector<AxisId>& axes, const ScalarProgram& program, AxisId reduced,
                               const std::vector<Reduction>& reductions) const;

  CaseBuilder builder_;
  std::string code_;
  std::vector<int64_t> extents_;
  std::vector<std::string> axis_names_;
  std::vector<std::string> value_names_;  // by ValueId: the expression that gives its id
};

// "[&] { ScalarBuilder s; const Scalar e0 = s.load(0); ... return s.finish(e3); }()"
std::string program_code(const ScalarProgram& program);

}  // namespace weft
