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
    std::vector<int> positions = {rotation_->position};
    for (const RotationSection& section : rotation_->sections) positions.push_back(section.position);
    for (const int position : positions) {
      for (const AxisId axis : loop_axes(region, region.operands[static_cast<size_t>(position)])) {
        position_axes_ = std::max(position_axes_, find_axis(axes_, axis) + 1);
      }
    }
    position_varies_inside_ = position_axes_ > row_axis_ + 1;
    if (!position_varies_inside_) loops.resize(position_axes_);
    for (const int position : positions) {
      ScalarProgram load;
      load.add({.op = ScalarOp::load, .type = Element::i32, .imm = position});
      positions_.emplace_back(context.graph, region, load, loops, static_cast<int>(loops.size()));
      reserve(position_run_at_[positions_.size() - 1], positions_.back().workspace_bytes());
    }
    // Twice: cosines and sines; a third part for frequencies, in case they must be computed for another extent.
    reserve(table_at_, 3 * align_up(frequencies_.size() * sizeof(float)));
    reserve(positions_at_, positions.size() * kPositions * sizeof(int32_t));
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
  if (first < last) bind(args, team, scratch).finish(first, last);
}

EpilogueRun Epilogue::bind(const StepArgs& args, const Team& team, std::byte* scratch) const {
  std::byte* thread = scratch + threads_at_ + static_cast<size_t>(team.thread) * thread_bytes_;
  const Shape shape = shape_at(rotation_->axis, args.extents);
  EpilogueRun run;
  run.owner_ = this;
  run.extent_ = shape.extent;
  run.inner_ = shape.inner;
  run.body_ = body(args, scratch);
  run.out_ = selection_ ? reinterpret_cast<std::byte*>(run.body_) : static_cast<std::byte*>(args.data[outputs_[0]]);
  run.frequencies_ = frequencies_.data();
  run.pairs_ = frequencies_.size();
  const size_t part = align_up(run.pairs_ * sizeof(float)) / sizeof(float);
  run.cosines_ = reinterpret_cast<float*>(thread + table_at_);
  run.sines_ = run.cosines_ + part;
  if (frequencies_extent_ != 0 && shape.extent != frequencies_extent_) {
    run.pairs_ = static_cast<size_t>(shape.extent / 2);
    float* computed = run.sines_ + part;
    for (size_t i = 0; i < run.pairs_; ++i) {
      computed[i] = static_cast<float>(
          rope_frequency(static_cast<double>(rotation_->base), static_cast<int64_t>(i), shape.extent));
    }
    run.frequencies_ = computed;
  }
  run.positions_ = reinterpret_cast<int32_t*>(thread + positions_at_);
  for (size_t s = 0; s < positions_.size(); ++s) {
    run.lookup_[s] = positions_[s].bind(args, thread + position_run_at_[s]);
  }
  if (!position_varies_inside_) {
    const std::span<const AxisId> all = axes_;
    run.rows_per_position_ = element_count(all.subspan(position_axes_, row_axis_ - position_axes_), args.extents);
  }
  if (!post_.program().empty()) run.post_ = post_.bind(args, thread + post_at_);
  return run;
}

void EpilogueRun::finish(int64_t first, int64_t last, int64_t count, int64_t step) {
  if (first >= last) return;
  const int64_t size = extent_ * inner_;
  const int64_t end = last + (count - 1) * step;
  for (; count > 0; --count, first += step, last += step) {
    if (owner_->position_varies_inside_) rotate_lines_apart(first, last);
    else rotate_rows(first, last, end);
    if (post_ == nullptr) continue;
    const void* rotated = body_ + first * size;
    const int64_t width = owner_->post_.type() == Element::bool8 ? 1 : 4;
    post_->evaluate(first * size, (last - first) * size, &rotated, out_ + first * size * width);
  }
}

// For the positions that were looked up as number `at`. Sections that keep their position keep their part of the table.
void EpilogueRun::set_table(int64_t at) {
  const std::vector<RotationSection>& later = owner_->rotation_->sections;
  size_t first = 0;
  for (size_t s = 0; s <= later.size(); ++s) {
    const size_t end = s < later.size() ? std::min(pairs_, static_cast<size_t>(later[s].first)) : pairs_;
    const int32_t position = positions_[static_cast<int64_t>(s) * kPositions + at];
    if (!have_table_ || position != table_position_[s]) {
      table_position_[s] = position;
      rotation_table(position, frequencies_ + first, end - first, owner_->rotation_->scale, cosines_ + first,
                     sines_ + first);
    }
    first = end;
  }
  have_table_ = true;
}

// `count` <= kPositions of each section.
void EpilogueRun::look_up(int64_t first, int64_t count) {
  for (size_t s = 0; s < owner_->positions_.size(); ++s) {
    lookup_[s]->evaluate(first, count, nullptr, positions_ + static_cast<int64_t>(s) * kPositions);
  }
}

// Each row has one position, which it may share with those that follow it. Positions are looked up ahead, no further
// than those of rows before `end`.
void EpilogueRun::rotate_rows(int64_t first, int64_t last, int64_t end) {
  const int64_t size = extent_ * inner_;
  while (first < last) {
    const int64_t at = first / rows_per_position_;
    if (at < first_position_ || at >= last_position_) {
      first_position_ = at;
      last_position_ = std::min(at + kPositions, (end - 1) / rows_per_position_ + 1);
      look_up(first_position_, last_position_ - first_position_);
    }
    set_table(at - first_position_);
    const int64_t rows = std::min(last, (at + 1) * rows_per_position_) - first;
    rotate_lines(body_ + first * size, inner_, inner_, pairs_, owner_->rotation_->pairs, cosines_, sines_, rows, size);
    first += rows;
  }
}

// Each line of a row has a position of its own.
void EpilogueRun::rotate_lines_apart(int64_t first, int64_t last) {
  for (int64_t begin = first * inner_; begin < last * inner_; begin += kPositions) {
    const int64_t count = std::min(kPositions, last * inner_ - begin);
    look_up(begin, count);
    for (int64_t i = 0; i < count; ++i) {
      set_table(i);
      const int64_t row = (begin + i) / inner_, line = (begin + i) % inner_;
      rotate_lines(body_ + row * extent_ * inner_ + line, inner_, 1, pairs_, owner_->rotation_->pairs, cosines_, sines_,
                   1, 0);
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
