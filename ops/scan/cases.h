// Scans and convolutions: every combination of what a recurrence may have, around the edges of a chunk, with several
// sequences in a step.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

// What a recurrence has beside queries, keys and values, and how its tokens lie.
struct ScanShape {
  std::vector<CaseRun> runs = {{.rows = 5, .from = kZeroState, .to = 0}};
  int32_t slots = 2;
  int64_t heads = 2, groups = 1, rows = 8,
          columns = 8;  // keys and queries have the axis of groups, but not that of heads
  bool has_decay = true, per_channel = false, erases = false, has_bonus = false;
  double strongest = 1;   // decays are between 0 and so much per token, as logarithms
  bool resets = false;    // some decays are -infinity
  bool computed = false;  // sources are maps, and the result is multiplied by a gate
  int64_t nan_at = -1;    // the token whose values are NaN
};

inline std::string name_of(const ScanShape& shape) {
  std::string text = "scan";
  for (const CaseRun& run : shape.runs) text += (text == "scan" ? " " : "+") + std::to_string(run.rows);
  for (const int64_t extent : {shape.groups, shape.heads, shape.rows, shape.columns})
    text += "x" + std::to_string(extent);
  if (shape.has_decay) text += shape.per_channel ? ", a decay per channel" : ", a decay per head";
  if (shape.has_decay && shape.strongest != 1) text += " to " + std::to_string(static_cast<int>(shape.strongest));
  if (shape.resets) text += ", with resets";
  if (shape.erases) text += ", erasing";
  if (shape.has_bonus) text += ", with a bonus";
  if (shape.computed) text += ", computed";
  if (shape.nan_at >= 0) text += ", NaN at " + std::to_string(shape.nan_at);
  return text;
}

inline StepCase scan_case(const ScanShape& shape) {
  CaseBuilder c(StepKind::scan, name_of(shape));
  int64_t tokens = 0;
  for (const CaseRun& run : shape.runs) tokens += run.rows;
  const AxisId pos = c.axis("pos", tokens), group = c.axis("group", shape.groups), head = c.axis("head", shape.heads);
  const AxisId row = c.axis("k", shape.rows), column = c.axis("v", shape.columns);
  const int state = c.state({.pos = pos, .axes = {group, head, row, column}, .slots = shape.slots, .runs = shape.runs});
  // As a model has them: vectors of unit length where something is erased, so that the state stays bounded.
  const double unit = 1 / std::sqrt(std::max<double>(1, static_cast<double>(shape.rows)));
  const Fill vectors{.low = -1.7 * unit, .high = 1.7 * unit};
  const auto source = [&](const char* name, std::vector<AxisId> stored, std::vector<AxisId> axes, Fill fill,
                          double scale) {
    const int operand = c.operand(c.input(name, std::move(stored), Format::f32, fill));
    ScalarBuilder s;
    Scalar x = s.load(operand);
    if (shape.computed) x = x * static_cast<float>(scale);
    return c.lhs(std::move(axes), s.finish(x));
  };
  Scan scan;
  scan.state = state;
  scan.roles.query = source("q", {pos, group, row}, {group, pos, row}, vectors, 0.5);
  scan.roles.key = source("k", {pos, group, row}, {group, pos, row}, vectors, 0.5);
  scan.roles.value = source("v", {pos, group, head, column}, {group, head, pos, column}, {}, 2);
  if (shape.nan_at >= 0) {
    std::vector<float> values(static_cast<size_t>(tokens * shape.groups * shape.heads * shape.columns), 0.5f);
    const auto width = static_cast<int64_t>(values.size()) / tokens;
    std::fill_n(values.begin() + shape.nan_at * width, width, std::numeric_limits<float>::quiet_NaN());
    c.set(c.region().operands.back().value, std::move(values));
  }
  if (shape.has_decay) {
    std::vector<AxisId> stored = {pos, group, head}, axes = {group, head, pos};
    if (shape.per_channel) {
      stored.push_back(row);
      axes.push_back(row);
    }
    const int operand = c.operand(c.input("d", stored, Format::f32, {.low = -shape.strongest, .high = 0}));
    ScalarBuilder s;
    Scalar d = s.load(operand);
    if (shape.resets)
      d = where(d < static_cast<float>(-0.9 * shape.strongest), s.constant(-std::numeric_limits<float>::infinity()), d);
    scan.roles.decay = c.lhs(std::move(axes), s.finish(d));
  }
  if (shape.erases) {
    scan.roles.erase = source("a", {pos, group, row}, {group, pos, row}, vectors, 0.5);
    scan.roles.read = source("b", {pos, group, row}, {group, pos, row}, vectors, 0.5);
  }
  if (shape.has_bonus) {
    const int operand = c.operand(c.weight("u", {group, head, row}));
    scan.roles.bonus = c.lhs(operand);
  }
  if (shape.computed) {
    const int gate = c.operand(c.input("gate", {pos, group, head, column}));
    ScalarBuilder s;
    c.body({pos, group, head, column}, s.finish(s.contraction(0) * sigmoid(s.load(gate))));
  }
  c.scan(scan);
  return c.build();
}

// A prompt that begins, one that goes on from another's state, one of a single token, one whose state after 3 rows is
// kept, and an empty slot.
inline std::vector<CaseRun> ragged_runs(int32_t longest) {
  return {{.rows = longest, .from = kZeroState, .to = 0},
          {.rows = 1, .from = 1, .to = 1},
          {.rows = 7, .from = 2, .to = 3, .kept_after = 3, .kept_to = 4},
          {.rows = 2, .from = 5, .to = -1}};
}

inline StepCase convolution_case(const std::vector<CaseRun>& runs, int64_t taps, int64_t channels, bool computed,
                                 Format format = Format::f32) {
  std::string text = "convolution";
  for (const CaseRun& run : runs) text += (text == "convolution" ? " " : "+") + std::to_string(run.rows);
  CaseBuilder c(StepKind::scan, text + " of " + std::to_string(taps) + " taps, " + std::to_string(channels) +
                                    " channels" + (computed ? ", computed" : "") +
                                    (format == Format::f32 ? "" : ", " + std::string(name(format))));
  int64_t tokens = 0;
  for (const CaseRun& run : runs) tokens += run.rows;
  const AxisId pos = c.axis("pos", tokens), channel = c.axis("channel", channels), tap = c.axis("tap", taps);
  Scan scan;
  scan.kind = Scan::Kind::convolution;
  scan.state = c.state({.pos = pos, .axes = {tap, channel}, .slots = 6, .runs = runs});
  scan.roles.key = c.lhs(c.operand(c.weight("w", {channel, tap}, format)));
  const int x = c.operand(c.input("x", {pos, channel}));
  ScalarBuilder s;
  scan.roles.value = c.lhs({pos, channel}, computed ? s.finish(s.load(x) * 0.5f) : s.finish(s.load(x)));
  if (computed) {
    const int bias = c.operand(c.weight("bias", {channel}));
    ScalarBuilder b;
    const Scalar y = b.contraction(0) + b.load(bias);
    c.body({pos, channel}, b.finish(y * sigmoid(y)));
  }
  c.scan(scan);
  return c.build();
}

inline std::vector<StepCase> scan_cases() {
  std::vector<StepCase> cases;
  const auto add = [&](ScanShape shape) { cases.push_back(scan_case(shape)); };
  for (const bool per_channel : {false, true}) {
    for (const bool erases : {false, true}) {
      for (const bool has_bonus : {false, true}) {
        const ScanShape shape{.per_channel = per_channel, .erases = erases, .has_bonus = has_bonus};
        ScanShape one = shape;
        for (const int32_t rows : {0, 1, 2, 15, 16, 17, 63, 64, 65, 130}) {
          one.runs = {{.rows = rows, .from = 1, .to = 0}};
          add(one);
        }
        ScanShape ragged = shape;
        ragged.slots = 6;
        ragged.runs = ragged_runs(70);
        for (const int64_t columns : {1, 15, 16, 17, 33, 64}) {
          ragged.rows = columns == 17 ? 1 : columns == 33 ? 17 : columns == 64 ? 32 : 16;
          ragged.columns = columns;
          ragged.computed = columns == 16;
          add(ragged);
        }
        // Decays that a factorization of whole chunks would overflow or underflow with.
        for (const double strongest : {1e-3, 20.0, 60.0}) {
          ScanShape strong = shape;
          strong.strongest = strongest;
          strong.runs = {{.rows = 80, .from = 1, .to = 0}};
          add(strong);
          strong.resets = true;
          add(strong);
        }
        ScanShape bad = shape;
        bad.nan_at = 33;  // tokens before it stay as they are
        bad.runs = {{.rows = 40, .from = 1, .to = 0}};
        add(bad);
      }
    }
  }
  for (const int64_t heads : {1, 7, 8}) {
    add({.runs = ragged_runs(20), .slots = 6, .heads = heads, .groups = 3, .rows = 4, .columns = 5});
  }
  add({.runs = {{.rows = 20, .from = kZeroState, .to = 0}}, .rows = 128, .columns = 128});
  add({.runs = {{.rows = 20, .from = kZeroState, .to = 0}}, .has_decay = false});
  add({.runs = {{.rows = 20, .from = kZeroState, .to = 0}}, .has_decay = false, .erases = true});
  add({.runs = {}});
  add({.runs = {{.rows = 3, .from = 0, .to = 0}}, .heads = 0});
  add({.runs = {{.rows = 3, .from = 0, .to = 0}}, .columns = 0});
  return cases;
}

inline std::vector<StepCase> convolution_cases() {
  std::vector<StepCase> cases;
  for (const int64_t taps : {1, 2, 3, 4, 5}) {
    for (const int64_t channels : {1, 15, 16, 17, 100}) {
      cases.push_back(convolution_case(ragged_runs(9), taps, channels, channels == 17));
    }
  }
  cases.push_back(convolution_case({{.rows = 1, .from = 1, .to = 0}}, 4, 64, true));
  cases.push_back(convolution_case({{.rows = 2, .from = 1, .to = 1}}, 4, 33, false, Format::f16));
  cases.push_back(convolution_case({{.rows = 2, .from = 1, .to = 1}}, 4, 32, false, Format::bf16));
  cases.push_back(convolution_case({}, 4, 16, false));
  cases.push_back(convolution_case({{.rows = 2, .from = 0, .to = 0}}, 4, 0, false));
  return cases;
}

}  // namespace weft
