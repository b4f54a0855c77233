// Rows of a table by ids: embeddings, and rows of a result.
#pragma once

#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

// out[ids' axes][row axes] = table[ids][row axes]; some ids are out of range.
inline StepCase gather_case(std::vector<int64_t> id_extents, int64_t table_rows, std::vector<int64_t> row_extents,
                            Format format) {
  CaseBuilder c(StepKind::map, "gather of " + std::to_string(table_rows) + " " + std::string(name(format)) + " rows");
  std::vector<AxisId> id_axes, row_axes, axes;
  for (const int64_t extent : id_extents) id_axes.push_back(c.axis("id" + std::to_string(id_axes.size()), extent));
  for (const int64_t extent : row_extents) row_axes.push_back(c.axis("row" + std::to_string(row_axes.size()), extent));
  const AxisId table_axis = c.axis("table", table_rows);
  const int ids = c.operand(c.ids("ids", id_axes, -1, static_cast<int32_t>(table_rows) + 1));
  std::vector<AxisId> stored = {table_axis};
  std::vector<ViewAxis> view = {gathered(table_axis, ids)};
  for (const AxisId axis : row_axes) {
    stored.push_back(axis);
    view.push_back(whole(axis));
  }
  axes = id_axes;
  axes.insert(axes.end(), row_axes.begin(), row_axes.end());
  const int table = c.operand(c.weight("rows", stored, format), view);
  ScalarBuilder s;
  c.body(axes, s.finish(s.load(table)));
  return c.build();
}

inline std::vector<StepCase> gather_cases() {
  std::vector<StepCase> cases;
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    for (const int64_t row : {32, 64, 96, 288, 2048}) cases.push_back(gather_case({5}, 9, {row}, format));
    cases.push_back(gather_case({1}, 9, {64}, format));
    cases.push_back(gather_case({0}, 9, {64}, format));
    cases.push_back(gather_case({4}, 1, {32}, format));
    cases.push_back(gather_case({3, 2}, 9, {3, 32}, format));
    cases.push_back(gather_case({}, 9, {64}, format));
  }
  for (const Format format : kBlockFormats) {
    const int64_t block = info(format).block_elements;
    for (const int64_t blocks : {1, 3}) cases.push_back(gather_case({5}, 9, {blocks * block}, format));
    cases.push_back(gather_case({3, 2}, 9, {3, 2, block / 2}, format));  // blocks that span axes
  }
  for (const int64_t row : {1, 5, 17, 257}) {
    cases.push_back(gather_case({5}, 9, {row}, Format::f32));
    cases.push_back(gather_case({5}, 9, {row}, Format::f16));
    cases.push_back(gather_case({5}, 9, {row}, Format::bf16));
  }
  cases.push_back(gather_case({5}, 0, {7}, Format::f32));
  return cases;
}

}  // namespace weft
