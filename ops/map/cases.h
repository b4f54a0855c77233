// Maps and gathers that test, bench and tuner share: lengths around tile edges, every way in which an operand can
// lie, every format, empty and non-finite values.
#pragma once

#include <string>
#include <vector>

#include "ops/harness/case.h"

namespace weft {

inline StepCase swiglu_case(int64_t rows, int64_t columns) {
  CaseBuilder c(StepKind::map, "swiglu " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), hidden = c.axis("hidden", columns);
  const int a = c.operand(c.input("gate", {pos, hidden})), b = c.operand(c.input("up", {pos, hidden}));
  ScalarBuilder s;
  const Scalar gate = s.load(a);
  c.body({pos, hidden}, s.finish(gate * sigmoid(gate) * s.load(b)));
  return c.build();
}

inline StepCase residual_case(int64_t rows, int64_t columns) {
  CaseBuilder c(StepKind::map, "residual " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns);
  const int a = c.operand(c.input("x", {pos, embed})), b = c.operand(c.input("y", {pos, embed}));
  ScalarBuilder s;
  c.body({pos, embed}, s.finish(s.load(a) + s.load(b)));
  return c.build();
}

// x * scale[embed] + bias in a storage format + gain[pos], and a coordinate: broadcast over either axis.
inline StepCase broadcast_case(int64_t rows, int64_t columns, Format format, double nonfinite = 0) {
  CaseBuilder c(StepKind::map,
                "broadcast " + std::string(name(format)) + " " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns);
  const int x = c.operand(c.input("x", {pos, embed}, Format::f32, {.nonfinite = nonfinite}));
  const int scale = c.operand(c.weight("scale", {embed})), bias = c.operand(c.weight("bias", {pos, embed}, format));
  const int gain = c.operand(c.input("gain", {pos}));
  ScalarBuilder s;
  const Scalar place = cast(s.index(embed) % 5 - s.index(pos), Element::f32);
  c.body({pos, embed}, s.finish(s.load(x) * s.load(scale) + s.load(bias) + tanh(s.load(gain)) * place));
  return c.build();
}

// Reads a value whose axes are stored in another order, and a slice of a third.
inline StepCase transposed_case(int64_t rows, int64_t columns, Format format) {
  CaseBuilder c(StepKind::map,
                "transposed " + std::string(name(format)) + " " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns);
  const AxisId wide = c.axis("wide", columns + 3);
  const int x = c.operand(c.input("x", {pos, embed}));
  const int y = c.operand(c.weight("y", {embed, pos}, format));
  const int z = c.operand(c.input("z", {pos, wide}), {whole(pos), sliced(embed, wide, 2)});
  ScalarBuilder s;
  c.body({pos, embed}, s.finish(maximum(s.load(x) - s.load(y), s.load(z))));
  return c.build();
}

// Four axes, operands that have some of them: which loops can be run as one differs from operand to operand.
inline StepCase nested_case(int64_t pos_extent, int64_t heads, int64_t groups, int64_t dim) {
  CaseBuilder c(StepKind::map, "nested " + std::to_string(pos_extent) + "x" + std::to_string(heads) + "x" +
                                   std::to_string(groups) + "x" + std::to_string(dim));
  const AxisId pos = c.axis("pos", pos_extent), head = c.axis("kv_head", heads), group = c.axis("group", groups);
  const AxisId head_dim = c.axis("head_dim", dim);
  const int x = c.operand(c.input("x", {pos, head, group, head_dim}));
  const int per_head = c.operand(c.input("per_head", {pos, head})),
            bias = c.operand(c.weight("bias", {group, head_dim}));
  const int flags = c.operand(c.input("flags", {head, head_dim}, Format::bool8));
  const int count = c.operand(c.ids("count", {pos, group}, -5, 6));
  ScalarBuilder s;
  const Scalar shifted = s.load(x) * s.load(per_head) + s.load(bias);
  const Scalar counted = cast(s.load(count, Element::i32) * s.index(head), Element::f32);
  c.body({pos, head, group, head_dim}, s.finish(where(s.load(flags, Element::bool8), shifted, counted)));
  return c.build();
}

// Gathered rows added to a value, ids out of range included; with `inside`, ids vary along the last axis.
inline StepCase gathered_case(int64_t rows, int64_t columns, Format format, bool inside) {
  CaseBuilder c(StepKind::map, std::string(inside ? "gathered elements " : "gathered rows ") +
                                   std::string(name(format)) + " " + std::to_string(rows) + "x" +
                                   std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns), vocab = c.axis("vocab", 7);
  const int x = c.operand(c.input("x", {pos, embed}));
  ScalarBuilder s;
  if (inside) {
    const AxisId stored = c.axis("stored", 32);
    const int ids = c.operand(c.ids("ids", {pos, embed}, -2, 34));
    const int table = c.operand(c.weight("table", {pos, stored}, format), {whole(pos), gathered(stored, ids)});
    c.body({pos, embed}, s.finish(s.load(x) + s.load(table)));
  } else {
    const int ids = c.operand(c.ids("ids", {pos}, -1, 8));
    const int table = c.operand(c.weight("table", {vocab, embed}, format), {gathered(vocab, ids), whole(embed)});
    c.body({pos, embed}, s.finish(s.load(x) + s.load(table)));
  }
  return c.build();
}

// Elements of a table by computed ids, some out of range: `leading`, the axis that is looked up is the table's first,
// else its last; `by_row`, ids are the same along rows.
inline StepCase lookup_case(int64_t rows, int64_t columns, int64_t entries, Format format, bool leading, bool by_row) {
  CaseBuilder c(StepKind::map, std::string("lookup ") + (leading ? "" : "inner ") + (by_row ? "by row " : "") +
                                   std::string(name(format)) + " " + std::to_string(rows) + "x" +
                                   std::to_string(columns) + " of " + std::to_string(entries));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns), entry = c.axis("entry", entries);
  const int shift = c.operand(c.ids("shift", {pos}, -2, 3));
  const AxisId kept = by_row ? embed : pos;  // what else the table varies with
  const ValueId values = format == Format::i32
                             ? c.ids("table", leading ? std::vector{entry, kept} : std::vector{kept, entry}, -9, 9)
                             : c.weight("table", leading ? std::vector{entry, kept} : std::vector{kept, entry}, format);
  const int table = c.operand(
      values, leading ? std::vector{looked_up(entry), whole(kept)} : std::vector{whole(kept), looked_up(entry)});
  ScalarBuilder s;
  const Scalar at = s.load(shift, Element::i32) + (by_row ? s.index(pos) : s.index(embed) / 2);
  const Scalar found = s.lookup(table, at, read_as(format));
  c.body({pos, embed}, s.finish(format == Format::i32 ? found + s.extent(entry) : found * 2.0f));
  return c.build();
}

// Two values one after the other along their last axis, or along their first one.
inline StepCase concat_case(int64_t rows, int64_t first, int64_t second, bool inner) {
  CaseBuilder c(StepKind::map, std::string("concat ") + (inner ? "columns " : "rows ") + std::to_string(rows) + ": " +
                                   std::to_string(first) + " and " + std::to_string(second));
  const AxisId row = c.axis("row", rows), a = c.axis("a", first), b = c.axis("b", second),
               whole_axis = c.axis("whole", first + second);
  const auto ordered = [inner](auto other, auto part) {
    return inner ? std::vector{other, part} : std::vector{part, other};
  };
  const int x = c.operand(c.input("x", ordered(row, a)), ordered(whole(row), looked_up(a)));
  const int y =
      c.operand(c.input("y", ordered(row, b), Format::f32, {.nonfinite = 0.1}), ordered(whole(row), looked_up(b)));
  ScalarBuilder s;
  const Scalar at = s.index(whole_axis);
  c.body(ordered(row, whole_axis), s.finish(where(at < s.extent(a), s.lookup(x, at), s.lookup(y, at - s.extent(a)))));
  return c.build();
}

// i32 and bool8 results, and a table of ids that is gathered itself.
inline StepCase typed_case(int64_t rows, int64_t columns, Element type) {
  CaseBuilder c(StepKind::map,
                "typed " + std::string(name(type)) + " " + std::to_string(rows) + "x" + std::to_string(columns));
  const AxisId pos = c.axis("pos", rows), embed = c.axis("embed", columns), seq = c.axis("seq", 3);
  const int sequence = c.operand(c.ids("seq_of", {pos}, 0, 3));
  const int start = c.operand(c.ids("start", {seq}, 0, 20), {gathered(seq, sequence)});
  const int x = c.operand(c.input("x", {pos, embed}, Format::f32, {.nonfinite = 0.05}));
  ScalarBuilder s;
  const Scalar since = s.index(embed) - s.load(start, Element::i32);
  const Scalar seen = since >= 0 && s.load(x) > 0.0f;
  c.body({pos, embed}, s.finish(type == Element::bool8 ? seen : where(seen, since / 3, s.constant(-1))));
  return c.build();
}

// No axis is shared by all operands' last loops; scalars; and a program that is one constant or one load.
inline std::vector<StepCase> degenerate_map_cases() {
  std::vector<StepCase> cases;
  {
    CaseBuilder c(StepKind::map, "scalar");
    const int x = c.operand(c.input("x", {}));
    ScalarBuilder s;
    c.body({}, s.finish(exp(s.load(x))));
    cases.push_back(c.build());
  }
  {
    CaseBuilder c(StepKind::map, "constant");
    const AxisId pos = c.axis("pos", 300);
    ScalarBuilder s;
    c.body({pos}, s.finish(s.constant(2.5f)));
    cases.push_back(c.build());
  }
  for (const Format format : {Format::f32, Format::i32, Format::bool8}) {
    CaseBuilder c(StepKind::map, "copy " + std::string(name(format)));
    const AxisId pos = c.axis("pos", 3), embed = c.axis("embed", 100);
    const ValueId value = format == Format::i32 ? c.ids("x", {embed, pos}, -9, 9) : c.input("x", {embed, pos}, format);
    const int x = c.operand(value);
    ScalarBuilder s;
    c.body({pos, embed}, s.finish(s.load(x, c.element(x))));
    cases.push_back(c.build());
  }
  {
    CaseBuilder c(StepKind::map, "coordinates");
    const AxisId pos = c.axis("pos", 5), embed = c.axis("embed", 7);
    ScalarBuilder s;
    c.body({pos, embed}, s.finish(s.index(pos) * 100 + s.index(embed)));
    cases.push_back(c.build());
  }
  return cases;
}

inline std::vector<StepCase> map_cases() {
  std::vector<StepCase> cases = degenerate_map_cases();
  for (const int64_t columns : {0, 1, 3, 15, 16, 17, 255, 256, 257, 1000}) {
    for (const int64_t rows : {0, 1, 3}) {
      cases.push_back(swiglu_case(rows, columns));
      cases.push_back(residual_case(rows, columns));
      cases.push_back(broadcast_case(rows, columns, Format::f16));
      cases.push_back(transposed_case(rows, columns, Format::f32));
    }
    cases.push_back(typed_case(4, columns, Element::i32));
    cases.push_back(typed_case(4, columns, Element::bool8));
    cases.push_back(broadcast_case(2, columns, Format::f32, 0.1));
    cases.push_back(broadcast_case(2, columns, Format::bf16, 0.1));
  }
  for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
    for (const int64_t columns : {32, 64, 288, 576}) {
      cases.push_back(broadcast_case(3, columns, format));
      cases.push_back(gathered_case(4, columns, format, false));
      cases.push_back(gathered_case(1, columns, format, false));
    }
    cases.push_back(gathered_case(3, 40, format, true));
    cases.push_back(gathered_case(3, 300, format, true));
    cases.push_back(transposed_case(32, 5, format));
    cases.push_back(transposed_case(64, 130, format));
  }
  for (const Format format : kBlockFormats) {
    const int64_t block = info(format).block_elements;
    cases.push_back(broadcast_case(3, 3 * block, format));
    cases.push_back(gathered_case(4, block, format, false));
    cases.push_back(transposed_case(block, 5, format));
  }
  for (const int64_t groups : {1, 7, 8}) {
    for (const int64_t dim : {1, 4, 33, 128}) {
      cases.push_back(nested_case(1, 2, groups, dim));
      cases.push_back(nested_case(3, 5, groups, dim));
    }
  }
  for (const int64_t columns : {0, 1, 3, 16, 17, 63, 65, 257, 600}) {
    for (const bool leading : {true, false}) {
      for (const bool by_row : {true, false}) {
        cases.push_back(lookup_case(3, columns, 4, Format::f32, leading, by_row));
        cases.push_back(lookup_case(2, columns, 100, Format::f16, leading, by_row));
        cases.push_back(lookup_case(5, columns, 7, Format::i32, leading, by_row));
      }
    }
    cases.push_back(concat_case(3, columns, 5, true));
    cases.push_back(concat_case(4, 70, columns, true));
    cases.push_back(concat_case(columns, 2, 3, false));
  }
  cases.push_back(lookup_case(1, 1, 1, Format::f32, true, false));
  cases.push_back(lookup_case(3, 40, 0, Format::f32, true, false));
  cases.push_back(lookup_case(0, 40, 5, Format::f32, true, false));
  for (const Format format : kBlockFormats) {
    const int64_t block = info(format).block_elements;
    cases.push_back(lookup_case(3, block, 2, format, true, true));
  }
  cases.push_back(nested_case(2, 0, 3, 4));
  cases.push_back(swiglu_case(1, 4864));
  cases.push_back(residual_case(2, 4096));
  return cases;
}

}  // namespace weft
