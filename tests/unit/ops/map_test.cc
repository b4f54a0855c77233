// Maps and gathers against the reference, and the parts of a map that other kernels use.
#include "ops/map/cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "ops/cpu/decode_tile.h"
#include "ops/cpu/source_eval.h"
#include "ops/gather/cases.h"
#include "tests/check_cases.h"

namespace weft {
namespace {

TEST(Map, Cases) { check_cases(map_cases()); }

TEST(Map, GatherCases) { check_cases(gather_cases()); }

TEST(Map, DecodesLikeDecodeRow) {
  on_every_target([] {
    for (const Format format : {Format::f32, Format::f16, Format::bf16, Format::q8_0, Format::q4_0}) {
      constexpr int64_t kElements = 160;
      std::vector<float> values(kElements), want(kElements);
      for (size_t i = 0; i < kElements; ++i) values[i] = static_cast<float>(i * i % 97) / 13 - 3;
      const CaseBytes bytes(row_bytes(format, kElements));
      encode_row(format, values.data(), kElements, bytes.data());
      decode_row(format, bytes.data(), kElements, want.data());
      for (int64_t first = 0; first < kElements; ++first) {
        EXPECT_EQ(decode_element(format, bytes.data(), static_cast<size_t>(first)), want[static_cast<size_t>(first)]);
        for (int64_t count = 0; first + count <= kElements; count += 1 + count / 4) {
          std::vector<float> got(static_cast<size_t>(count) + 1, -1);
          decode_elements(format, bytes.data(), first, count, got.data());
          EXPECT_EQ(got.back(), -1);
          got.pop_back();
          const std::vector<float> part(want.begin() + first, want.begin() + first + count);
          ASSERT_EQ(got, part) << name(format) << " " << first << " + " << count;
        }
      }
    }
  });
}

// An epilogue: rows of a tile, columns that begin anywhere, contraction results handed over per row.
TEST(SourceEvaluator, RowsAndColumnRangesWithProvidedResults) {
  CaseBuilder c(StepKind::map, "epilogue");
  const AxisId pos = c.axis("pos", 5), head = c.axis("head", 3), dim = c.axis("dim", 50);
  const int residual = c.operand(c.input("residual", {pos, head, dim}));
  const int bias = c.operand(c.weight("bias", {head, dim}, Format::f16)),
            gain = c.operand(c.input("gain", {pos, head}));
  ScalarBuilder s;
  const Scalar zero = s.constant(0.0f);
  c.body({pos, head, dim}, s.finish(s.load(residual) + s.load(bias) + s.load(gain) + zero));
  const StepCase step_case = c.build();
  const Outputs base = run_reference(step_case);
  const auto* want = reinterpret_cast<const float*>(base[0].data());
  // The same with a contraction in place of `zero`.
  ScalarBuilder t;
  const ScalarProgram program = t.finish(t.load(residual) + t.load(bias) + t.load(gain) + t.contraction());
  const std::vector<AxisId> loops = {pos, head, dim};
  const ProvidedSource contraction{.op = ScalarOp::contraction};
  const SourceEvaluator evaluator(step_case.graph, step_case.step().regions[0], program, loops, 2, {&contraction, 1});
  on_every_target([&] {
    const CaseBytes workspace(evaluator.workspace_bytes());
    SourceRun* run = evaluator.bind(step_case.args(), workspace.data());
    ASSERT_EQ(run->inner_count(), 150);
    for (int64_t row = 0; row < 5; ++row) {
      run->set_row(&row);
      for (int64_t first = 0; first < 150; first += 13) {
        for (const int64_t count : {1, 4, 16, 37}) {
          if (first + count > 150) continue;
          std::vector<float> sums(static_cast<size_t>(count)), out(static_cast<size_t>(count));
          for (size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<float>(i) + 100;
          const void* provided = sums.data();
          run->evaluate(first, count, &provided, out.data());
          for (size_t i = 0; i < out.size(); ++i) {
            ASSERT_NEAR(out[i], sums[i] + want[row * 150 + first + static_cast<int64_t>(i)], 2e-5)
                << "row " << row << ", column " << first << " + " << i;
          }
        }
      }
    }
  });
}

// Boxes and ranges give what their rows and runs give one by one: operands that vary with every axis or with some, are
// decoded or gathered, and values that the caller hands over, one per element or one per row.
TEST(SourceEvaluator, BoxesAreTheirRows) {
  for (const int64_t width : {1, 3, 64, 150, 300}) {
    CaseBuilder c(StepKind::map, "box");
    const AxisId seq = c.axis("seq", 2), pos = c.axis("pos", 7), head = c.axis("head", 2), dim = c.axis("dim", width),
                 stored = c.axis("stored", 9);
    const std::vector<AxisId> all = {seq, pos, head, dim};
    const int full = c.operand(c.input("full", all)), by_column = c.operand(c.input("by_column", {head, dim})),
              by_row = c.operand(c.input("by_row", {seq, pos})),
              by_seq = c.operand(c.input("by_seq", {seq, head, dim})),
              decoded = c.operand(c.weight("decoded", {head, dim}, Format::f16)),
              halves = c.operand(c.input("halves", all, Format::bf16)), ids = c.operand(c.ids("ids", {pos}, -1, 10));
    const int chosen = c.operand(c.input("chosen", {stored, dim}), {gathered(stored, ids), whole(dim)});
    ScalarBuilder s;
    c.body(all, s.finish(s.load(full)));
    const StepCase step_case = c.build();
    const auto sum = [](ScalarBuilder& b) { return b.contraction(0) * 2.0f; };
    std::vector<ScalarProgram> programs;
    const auto add = [&](auto&& make) {
      ScalarBuilder b;
      programs.push_back(b.finish(make(b)));
    };
    add([&](ScalarBuilder& b) { return sum(b) + b.load(full); });
    add([&](ScalarBuilder& b) { return sigmoid(sum(b)) * (b.load(by_column) + b.load(by_row) + b.load(by_seq)); });
    add([&](ScalarBuilder& b) { return where(b.load(by_row) > 0.0f, sum(b) + b.load(decoded), b.reduction(0)); });
    add([&](ScalarBuilder& b) {
      const Scalar at = cast(b.index(pos) * 100 + b.index(dim) - b.index(seq), Element::f32);
      return sum(b) + at * sqrt(abs(b.load(by_row) * 3.0f + b.reduction(0)));
    });
    add([&](ScalarBuilder& b) { return sum(b) + b.load(chosen); });
    add([&](ScalarBuilder& b) { return sum(b) * b.load(halves); });
    add([&](ScalarBuilder& b) { return sum(b) > b.load(by_row); });
    add([&](ScalarBuilder& b) { return b.load(by_row) + b.reduction(0); });
    add([&](ScalarBuilder& b) { return b.contraction(0); });
    const ProvidedSource provided[] = {{.op = ScalarOp::contraction}, {.op = ScalarOp::reduction, .uniform = true}};
    const int64_t columns = 2 * width, stride = columns + 5;
    std::vector<float> sums(static_cast<size_t>(14 * stride)), by_caller(28);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<float>(i % 101) / 50 - 1;
    for (size_t i = 0; i < by_caller.size(); ++i) by_caller[i] = static_cast<float>(i) / 10;
    for (size_t p = 0; p < programs.size(); ++p) {
      const SourceEvaluator evaluator(step_case.graph, step_case.step().regions[0], programs[p], all, 2, provided);
      const size_t bytes = evaluator.type() == Element::bool8 ? 1 : 4;
      const auto row_bytes = static_cast<int64_t>(bytes) * stride;
      const SourceEvaluator flat(step_case.graph, step_case.step().regions[0], programs[p], all, 4, provided);
      on_every_target([&] {  // all loops as one range
        const CaseBytes workspace(flat.workspace_bytes());
        SourceRun* run = flat.bind(step_case.args(), workspace.data());
        const auto to = [&](std::vector<std::byte>& out, int64_t i) {
          return out.data() + i * static_cast<int64_t>(bytes);
        };
        for (const int64_t first : {int64_t{0}, width / 2, 3 * width}) {
          const int64_t last = 28 * width - first;
          std::vector<std::byte> want(static_cast<size_t>(last) * bytes), got = want;
          for (int64_t i = first; i < last;) {
            const int64_t end = std::min(last, (i / width + 1) * width);
            const void* given[] = {sums.data() + i, by_caller.data()};
            run->evaluate(i, end - i, given, to(want, i));
            i = end;
          }
          const void* given[] = {sums.data() + first, by_caller.data()};
          run->evaluate(first, last - first, given, to(got, first));
          ASSERT_EQ(got, want) << "width " << width << ", program " << p << ", from " << first;
        }
      });
      on_every_target([&] {
        const CaseBytes workspace(evaluator.workspace_bytes());
        SourceRun* run = evaluator.bind(step_case.args(), workspace.data());
        const auto given = [&](int64_t row, int64_t first) {
          return std::array<const void*, 2>{sums.data() + row * stride + first, by_caller.data() + 2 * row};
        };
        for (const int64_t row : {0, 1, 5, 6, 13}) {
          for (const int64_t rows : {1, 2, 3, 9}) {
            if (row + rows > 14) continue;
            for (const int64_t first : {int64_t{0}, width / 2}) {
              for (const int64_t count : {int64_t{1}, columns / 2, columns - first}) {
                std::vector<std::byte> want(static_cast<size_t>(rows * row_bytes)), got = want;
                for (int64_t r = 0; r < rows; ++r) {
                  const int64_t at[] = {(row + r) / 7, (row + r) % 7};
                  run->set_row(at);
                  for (int64_t done = 0; done < count;) {  // run by run
                    const int64_t piece = std::min(count - done, width - (first + done) % width);
                    run->evaluate(first + done, piece, given(row + r, first + done).data(),
                                  want.data() + r * row_bytes + done * static_cast<int64_t>(bytes));
                    done += piece;
                  }
                }
                const int64_t at[] = {row / 7, row % 7}, steps[] = {stride * 4, 8};
                run->evaluate_box(at, rows, first, count, given(row, first).data(), steps, got.data(), row_bytes);
                ASSERT_EQ(got, want) << "width " << width << ", program " << p << ", rows " << row << " + " << rows
                                     << ", columns " << first << " + " << count;
                if (bytes == 1) continue;
                // In place of the sums.
                std::vector<float> place(static_cast<size_t>(rows * stride));
                std::memcpy(place.data(), sums.data() + row * stride, place.size() * 4);
                std::array<const void*, 2> here = given(row, first);
                here[0] = place.data() + first;
                run->evaluate_box(at, rows, first, count, here.data(), steps, place.data() + first, row_bytes);
                for (int64_t r = 0; r < rows; ++r) {
                  ASSERT_EQ(std::memcmp(place.data() + r * stride + first, want.data() + r * row_bytes,
                                        static_cast<size_t>(count) * 4),
                            0)
                      << "width " << width << ", program " << p << ", row " << row << " + " << r;
                }
              }
            }
          }
        }
      });
    }
  }
}

// A score: one inner axis whose extent is unknown, positions of the keys handed over.
TEST(SourceEvaluator, ScoresOfAKeyAxisWithoutExtent) {
  CaseBuilder c(StepKind::map, "score");
  const AxisId pos = c.axis("pos", 4), head = c.axis("head", 2), key = c.axis("key", 1);
  const int at = c.operand(c.ids("at", {pos}, 0, 30)), slope = c.operand(c.weight("slope", {head}));
  const int key_at = c.operand(c.ids("key_at", {key}, 0, 1));
  ScalarBuilder s;
  c.body({pos, head, key}, s.finish(s.load(slope)));
  StepCase step_case = c.build();
  const Scalar distance = s.load(key_at, Element::i32) - s.load(at, Element::i32);
  const Scalar score = s.contraction() * 0.125f + s.load(slope) * cast(distance + s.index(key), Element::f32);
  const ScalarProgram program = s.finish(where(distance <= 0, score, s.constant(-1e30f)));
  const std::vector<AxisId> loops = {pos, head, key};
  const ProvidedSource provided[] = {{.op = ScalarOp::contraction},
                                     {.op = ScalarOp::load, .imm = key_at, .same_in_rows = true}};
  const SourceEvaluator evaluator(step_case.graph, step_case.step().regions[0], program, loops, 1, provided);
  step_case.extents[key] = -1;
  const CaseBytes workspace(evaluator.workspace_bytes());
  SourceRun* run = evaluator.bind(step_case.args(), workspace.data());
  const auto* positions = static_cast<const int32_t*>(step_case.data[0]);
  const auto* slopes = static_cast<const float*>(step_case.data[1]);
  for (int64_t p = 0; p < 4; ++p) {
    for (int64_t h = 0; h < 2; ++h) {
      const int64_t row[] = {p, h};
      run->set_row(row);
      for (int32_t first : {0, 64, 100}) {
        std::vector<float> sums(50), out(50);
        std::vector<int32_t> keys(50);
        for (size_t i = 0; i < 50; ++i) {
          sums[i] = static_cast<float>(i);
          keys[i] = static_cast<int32_t>(i) / 2;
        }
        const void* given[] = {sums.data(), keys.data()};
        run->evaluate(first, 50, given, out.data());
        for (size_t i = 0; i < 50; ++i) {
          const int32_t d = keys[i] - positions[p];
          const float want =
              d <= 0 ? sums[i] * 0.125f + slopes[h] * static_cast<float>(d + first + static_cast<int32_t>(i)) : -1e30f;
          ASSERT_NEAR(out[i], want, 1e-4) << p << " " << h << " " << i;
        }
      }
    }
  }
  // All rows at once, also of fewer keys than a row has room for.
  ASSERT_TRUE(run->can_run_rows());
  std::vector<std::byte> kept(8 * evaluator.row_bytes());
  for (int64_t row = 0; row < 8; ++row) {
    const int64_t at_row[] = {row / 2, row % 2};
    run->set_row(at_row);
    run->keep_row(kept.data() + static_cast<size_t>(row) * evaluator.row_bytes());
  }
  for (const int64_t count : {1, 17, 64}) {
    std::vector<float> scores(8 * kTileChunk, 0.5f);
    std::vector<int32_t> keys(kTileChunk);
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int32_t>(i) / 2;
    const void* given[] = {scores.data(), keys.data()};
    run->evaluate_rows(kept.data(), 8, 100, count, given, scores.data());
    for (int64_t row = 0; row < 8; ++row) {
      for (int64_t i = 0; i < count; ++i) {
        const int32_t d = keys[static_cast<size_t>(i)] - positions[row / 2];
        const float want =
            d <= 0 ? 0.0625f + slopes[row % 2] * static_cast<float>(d + 100 + static_cast<int32_t>(i)) : -1e30f;
        ASSERT_NEAR(scores[static_cast<size_t>(row * kTileChunk + i)], want, 1e-4) << row << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace weft
