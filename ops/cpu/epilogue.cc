#include "ops/cpu/epilogue.h"

#include <algorithm>

#include "core/align.h"
#include "core/record/axis_list.h"
#include "ops/rope/cpu.h"
#include "ops/rope/frequencies.h"
#include "ops/select/cpu.h"

namespace weft {
namespace {

constexpr int64_t kPositions = 64;       // looked up at a time
constexpr int64_t kInsertionLimit = 64;  // up to this k, candidates are kept by insertion
constexpr int64_t kSplitFrom = 4096;     // elements of a line from which several threads share it

}  // namespace

Epilogue::Epilogue(const KernelContext& context, const Region& region, std::span<const ValueId> outputs)
    : axes_(region.axes),
      outputs_(outputs.begin(), outputs.end()),
      rotation_(region.rotation),
      selection_(region.selection) {
  if (!needed()) return;
  size_t thread_at = 0;
  const auto reserve = [&](size_t& where, size_t bytes) {
    where = thread_at;
    thread_at += align_up(bytes);
  };
  if (rotation_) {
    row_axis_ = find_axis(axes_, rotation_->axis);
    if (rotation_->frequencies && !rotation_->frequencies->empty()) {
      frequencies_ = *rotation_->frequencies;
    } else {
      frequencies_extent_ = context.max_extents[rotation_->axis];
      frequencies_ = rope_frequencies(rotation_->base, frequencies_extent_);
    }
    std::vector<AxisId> loops = axes_;
    loops.erase(loops.begin() + static_cast<ptrdiff_t>(row_axis_));
    const Operand& position = region.operands[static_cast<size_t>(rotation_->position)];
    for (const AxisId axis : loop_axes(region, position)) {
      position_varies_inside_ = position_varies_inside_ || find_axis(axes_, axis) > row_axis_;
    }
    if (!position_varies_inside_) loops.resize(row_axis_);
    ScalarProgram load;
    load.add({.op = ScalarOp::load, .type = Element::i32, .imm = rotation_->position});
    position_ = SourceEvaluator(context.graph, region, load, loops, static_cast<int>(loops.size()));
    // Twice: cosines and sines; a third part for frequencies, in case they must be computed for another extent.
    reserve(table_at_, 3 * align_up(frequencies_.size() * sizeof(float)));
    reserve(positions_at_, kPositions * sizeof(int32_t));
    reserve(position_run_at_, position_.workspace_bytes());
  }
  if (!region.post.empty()) {
    const ProvidedSource rotated{.op = ScalarOp::rotated};
    post_ = SourceEvaluator(context.graph, region, region.post, axes_, static_cast<int>(axes_.size()), {&rotated, 1});
    reserve(post_at_, post_.workspace_bytes());
  }
  body_in_output_ = !selection_ && (region.post.empty() || region.post.type() == Element::f32);
  size_t candidate_bytes = 0;
  if (selection_) {
    if (selection_->choice != kNoAxis) max_choices_ = context.max_extents[selection_->choice];
    const bool sorts = max_choices_ > kInsertionLimit;
    reserve(order_at_, sorts ? static_cast<size_t>(context.max_extents[selection_->axis]) * sizeof(int32_t)
                             : kInsertionLimit * (sizeof(float) + sizeof(int32_t)));
    const auto threads = static_cast<size_t>(context.threads);
    candidate_bytes = threads * threads * (align_up(kInsertionLimit * 8) + kCacheLine);
  }
  const auto elements = static_cast<size_t>(element_count(axes_, context.max_extents));
  threads_at_ = body_in_output_ ? 0 : align_up(elements * sizeof(float));
  thread_bytes_ = thread_at;
  candidates_at_ = threads_at_ + static_cast<size_t>(context.threads) * thread_bytes_;
  scratch_bytes_ = candidates_at_ + candidate_bytes;
}

float* Epilogue::body(const StepArgs& args, std::byte* scratch) const {
  return static_cast<float*>(body_in_output_ ? args.data[outputs_[0]] : static_cast<void*>(scratch));
}

Epilogue::Shape Epilogue::shape_at(AxisId axis, const int64_t* extents) const {
  Shape shape;
  const auto at = find_axis(axes_, axis);
  const std::span<const AxisId> all = axes_;
  shape.outer = element_count(all.first(at), extents);
  shape.extent = extents[axis];
  shape.inner = element_count(all.subspan(at + 1), extents);
  return shape;
}

void Epilogue::run(const StepArgs& args, const Team& team, std::byte* scratch) const {
  if (rotation_) {
    const Range rows = share(shape_at(rotation_->axis, args.extents).outer, 1, team);
    finish_rows(args, team, scratch, rows.first, rows.last);
    if (selection_) team.barrier();
  }
  if (selection_) select(args, team, scratch, body(args, scratch));
}

void Epilogue::finish_rows(const StepArgs& args, const Team& team, std::byte* scratch, int64_t first,
                           int64_t last) const {
  if (first >= last) return;
  std::byte* thread = scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
  float* values = body(args, scratch);
  rotate(args, thread, values, first, last);
  if (post_.program().empty()) return;
  const Shape shape = shape_at(rotation_->axis, args.extents);
  const int64_t begin = first * shape.extent * shape.inner;
  const void* rotated = values + begin;
  std::byte* out = selection_ ? reinterpret_cast<std::byte*>(values) : static_cast<std::byte*>(args.data[outputs_[0]]);
  const int64_t width = post_.type() == Element::bool8 ? 1 : 4;
  post_.bind(args, thread + post_at_)
      ->evaluate(begin, (last - first) * shape.extent * shape.inner, &rotated, out + begin * width);
}

void Epilogue::rotate(const StepArgs& args, std::byte* thread, float* body, int64_t first, int64_t last) const {
  const Shape shape = shape_at(rotation_->axis, args.extents);
  const float* frequencies = frequencies_.data();
  size_t pairs = frequencies_.size();
  const size_t part = align_up(pairs * sizeof(float)) / sizeof(float);
  float* cosines = reinterpret_cast<float*>(thread + table_at_);
  float* sines = cosines + part;
  if (frequencies_extent_ != 0 && shape.extent != frequencies_extent_) {
    pairs = static_cast<size_t>(shape.extent / 2);
    float* computed = sines + part;
    for (size_t i = 0; i < pairs; ++i) {
      computed[i] = static_cast<float>(
          rope_frequency(static_cast<double>(rotation_->base), static_cast<int64_t>(i), shape.extent));
    }
    frequencies = computed;
  }
  auto* positions = reinterpret_cast<int32_t*>(thread + positions_at_);
  SourceRun* lookup = position_.bind(args, thread + position_run_at_);
  // Where the position varies inside a row, each line has its own; otherwise all lines of a row share one.
  const int64_t lines = position_varies_inside_ ? shape.inner : 1;
  const int64_t width = position_varies_inside_ ? 1 : shape.inner;
  bool have_table = false;
  int32_t table_position = 0;
  for (int64_t begin = first * lines; begin < last * lines; begin += kPositions) {
    const int64_t count = std::min(kPositions, last * lines - begin);
    lookup->evaluate(begin, count, nullptr, positions);
    for (int64_t i = 0; i < count; ++i) {
      if (!have_table || positions[i] != table_position) {
        table_position = positions[i];
        have_table = true;
        rotation_table(table_position, frequencies, pairs, rotation_->scale, cosines, sines);
      }
      const int64_t row = (begin + i) / lines, line = (begin + i) % lines;
      rotate_lines(body + row * shape.extent * shape.inner + line, shape.inner, width, pairs, rotation_->pairs, cosines,
                   sines);
    }
  }
}

void Epilogue::select(const StepArgs& args, const Team& team, std::byte* scratch, const float* values) const {
  const Shape shape = shape_at(selection_->axis, args.extents);
  const int64_t k = selection_->choice == kNoAxis ? 1 : args.extents[selection_->choice];
  float* out_values = selection_->values ? static_cast<float*>(args.data[outputs_[0]]) : nullptr;
  auto* out_ids = static_cast<int32_t*>(args.data[outputs_.back()]);
  if (k == 0) return;
  const int64_t lines = shape.outer * shape.inner;
  if (lines < team.threads && shape.extent >= kSplitFrom && k <= kInsertionLimit && shape.inner == 1) {
    select_split(shape, k, team, scratch, values, out_values, out_ids);
    return;
  }
  std::byte* thread = scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
  const Range mine = share(lines, 1, team);
  for (int64_t line = mine.first; line < mine.last; ++line) {
    const int64_t outer = line / shape.inner, inner = line % shape.inner;
    const float* data = values + outer * shape.extent * shape.inner + inner;
    const int64_t out = outer * k * shape.inner + inner;
    if (max_choices_ > kInsertionLimit) {
      select_by_sorting(data, shape.extent, shape.inner, k, reinterpret_cast<int32_t*>(thread + order_at_),
                        out_values != nullptr ? out_values + out : nullptr, out_ids + out, shape.inner);
      continue;
    }
    auto* room = reinterpret_cast<float*>(thread + order_at_);
    TopK top(room, reinterpret_cast<int32_t*>(room + kInsertionLimit), k);
    top.add(data, shape.extent, shape.inner, 0);
    top.finish();
    for (int64_t c = 0; c < k; ++c) {
      if (out_values != nullptr) out_values[out + c * shape.inner] = top.values()[c];
      out_ids[out + c * shape.inner] = top.ids()[c];
    }
  }
}

// Few long lines: each thread finds the candidates of its part of every line, and one merges them.
void Epilogue::select_split(const Shape& shape, int64_t k, const Team& team, std::byte* scratch, const float* values,
                            float* out_values, int32_t* out_ids) const {
  const size_t slot_bytes = align_up(kInsertionLimit * 8) + kCacheLine;
  const auto slot = [&](int64_t line, int thread) {
    return scratch + candidates_at_ + static_cast<size_t>(line * team.threads + thread) * slot_bytes;
  };
  const auto room = [&](std::byte* at) {
    auto* floats = reinterpret_cast<float*>(at + kCacheLine);
    return TopK(floats, reinterpret_cast<int32_t*>(floats + kInsertionLimit), k);
  };
  const Range part = share(shape.extent, 256, team);
  for (int64_t line = 0; line < shape.outer; ++line) {
    std::byte* at = slot(line, team.thread);
    TopK* top = new (at) TopK(room(at));
    top->add(values + line * shape.extent + part.first, part.last - part.first, 1, static_cast<int32_t>(part.first));
  }
  team.barrier();
  if (team.thread >= shape.outer) return;
  const int64_t line = team.thread;
  TopK& top = *reinterpret_cast<TopK*>(slot(line, 0));
  for (int t = 1; t < team.threads; ++t) top.add_candidates(*reinterpret_cast<const TopK*>(slot(line, t)));
  top.finish();
  for (int64_t c = 0; c < k; ++c) {
    if (out_values != nullptr) out_values[line * k + c] = top.values()[c];
    out_ids[line * k + c] = top.ids()[c];
  }
}

}  // namespace weft
