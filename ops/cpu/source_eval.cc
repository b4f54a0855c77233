#include "ops/cpu/source_eval.h"

#include <algorithm>
#include <limits>
#include <new>

#include "core/align.h"
#include "core/record/axis_list.h"
#include "ops/cpu/decode_tile.h"
#include "ops/cpu/source_load.h"

namespace weft {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max() / 8;
// Below this many elements per run, one call of the machine per run costs more than copying operands to span them.
constexpr int64_t kShortRun = 96;

}  // namespace

SourceEvaluator::SourceEvaluator(const GraphRecord& graph, const Region& region, const ScalarProgram& program,
                                 std::span<const AxisId> loops, int inner, std::span<const ProvidedSource> provided)
    : program_(program), loops_(loops.begin(), loops.end()), inner_(static_cast<size_t>(inner)) {
  const std::span<const ScalarInstr> sources = program_.sources();
  std::vector<bool> is_provided(sources.size(), false);
  for (const ProvidedSource& p : provided) {
    ProvidedInfo entry{.uniform = p.uniform, .same_in_rows = p.same_in_rows};
    for (size_t s = 0; s < sources.size(); ++s) {
      if (sources[s].op != p.op || (p.op != ScalarOp::rotated && sources[s].imm != p.imm)) continue;
      entry.source = static_cast<int>(s);
      entry.element_bytes = sources[s].type == Element::bool8 ? 1 : 4;
      is_provided[s] = true;
      uniform_provided_ = uniform_provided_ || p.uniform;
    }
    provided_.push_back(entry);
  }
  for (size_t s = 0; s < sources.size(); ++s) {
    if (is_provided[s]) continue;
    if (sources[s].op == ScalarOp::index) {
      const size_t loop = find_axis(loops_, static_cast<AxisId>(sources[s].imm));
      indices_.push_back({static_cast<int>(s), static_cast<int>(loop), 0});
    } else if (sources[s].op == ScalarOp::extent) {
      extents_.push_back({static_cast<int>(s), static_cast<AxisId>(sources[s].imm)});
    } else {
      const int load = add_load(graph, region, sources[s].imm, static_cast<int>(s));
      loads_[static_cast<size_t>(load)].is_table = sources[s].op == ScalarOp::lookup;
    }
  }
  size_t at = align_up(sizeof(SourceRun));
  const auto reserve = [&](size_t& where, size_t bytes) {
    where = at;
    at += align_up(bytes);
  };
  reserve(loads_at_, loads_.size() * sizeof(SourceRun::Load));
  reserve(indices_at_, indices_.size() * sizeof(SourceRun::Index));
  reserve(frame_at_, program_.frame_bytes());
  for (LoadInfo& load : loads_) reserve(load.staging_at, load.source >= 0 ? kTile * 4 : 0);
  for (IndexInfo& index : indices_) reserve(index.staging_at, kTile * 4);
  workspace_bytes_ = at;
}

int SourceEvaluator::add_load(const GraphRecord& graph, const Region& region, int operand, int source) {
  const Operand& record = region.operands[static_cast<size_t>(operand)];
  LoadInfo load{.operand = record, .format = graph.values[record.value].format, .source = source};
  size_t gather = 0;
  // In the order in which resolve() lists the gathers: from the last axis to the first.
  for (size_t i = record.view.size(); i-- > 0;) {
    if (record.view[i].gather >= 0) load.ids[gather++] = add_load(graph, region, record.view[i].gather, -1);
  }
  loads_.push_back(std::move(load));
  return static_cast<int>(loads_.size() - 1);
}

SourceRun* SourceEvaluator::bind(const StepArgs& args, std::byte* workspace) const {
  SourceRun* run = new (workspace) SourceRun;
  run->evaluator_ = this;
  run->frame_ = program_.make_frame(workspace + frame_at_);
  run->loads_ = reinterpret_cast<SourceRun::Load*>(workspace + loads_at_);
  run->indices_ = reinterpret_cast<SourceRun::Index*>(workspace + indices_at_);
  for (size_t i = 0; i < loads_.size(); ++i) {
    SourceRun::Load* load = new (&run->loads_[i]) SourceRun::Load;
    load->info = &loads_[i];
    load->data = static_cast<const std::byte*>(args.data[loads_[i].operand.value]);
    load->staging = workspace + loads_[i].staging_at;
    load->view = resolve(loads_[i].operand, loops_, args.extents);
    load->row_offset = load->view.offset;
    load->element_bytes = loads_[i].format == Format::bool8 ? 1 : 4;
    if (loads_[i].is_table) {
      int64_t stride = 1;
      const std::vector<ViewAxis>& view = loads_[i].operand.view;
      size_t axis = view.size() - 1;
      for (; !view[axis].is_looked_up(); --axis) stride *= args.extents[view[axis].stored];
      run->frame_->set_table(static_cast<size_t>(loads_[i].source),
                             {.data = load->data,
                              .format = loads_[i].format,
                              .extent = static_cast<int32_t>(args.extents[view[axis].stored]),
                              .stride = static_cast<int32_t>(stride)});
    }
  }
  for (size_t i = 0; i < indices_.size(); ++i) {
    SourceRun::Index* index = new (&run->indices_[i]) SourceRun::Index;
    index->info = &indices_[i];
    index->staging = reinterpret_cast<int32_t*>(workspace + indices_[i].staging_at);
  }
  run->extents_ = args.extents;
  for (size_t l = 0; l + inner_ < loops_.size(); ++l) run->outer_extent_[l] = args.extents[loops_[l]];
  run->collapse(args.extents);
  run->classify();
  return run;
}

// Rows along one loop: an outer one, or the inner one around the innermost.
struct SourceRun::Box {
  size_t loop;
  bool is_inner;
  int64_t rows;
  const int64_t* provided_step;  // of outer ones; rows of inner ones follow each other
  int64_t out_step;
};

// Finds the inner loops that matter: those of extent 1 are dropped, and two adjacent ones become one where every
// operand's stride allows it and no index() asks for either.
void SourceRun::collapse(const int64_t* extents) {
  const SourceEvaluator& e = *evaluator_;
  const size_t outer = e.loops_.size() - e.inner_;
  if (e.inner_ == 1) {  // the extent may be unknown
    inner_rank_ = 1;
    for (size_t i = 0; i < e.loads_.size(); ++i) loads_[i].stride[0] = loads_[i].view.stride[outer];
    for (size_t i = 0; i < e.indices_.size(); ++i) indices_[i].inner = e.indices_[i].loop - static_cast<int>(outer);
    inner_count_ = extents[e.loops_.back()];
    run_ = kUnlimited;
    return;
  }
  inner_rank_ = 0;
  inner_count_ = 1;
  bool mergeable = false;  // into the last loop so far
  for (size_t l = outer; l < e.loops_.size(); ++l) {
    const int64_t extent = extents[e.loops_[l]];
    inner_count_ *= extent;
    bool indexed = false;
    for (size_t i = 0; i < e.indices_.size(); ++i) {
      if (e.indices_[i].loop != static_cast<int>(l)) continue;
      indexed = true;
      indices_[i].inner = extent == 1 ? -1 : inner_rank_;
    }
    if (extent == 1) continue;
    bool merge = mergeable && !indexed;
    for (size_t i = 0; merge && i < e.loads_.size(); ++i) {
      merge = loads_[i].stride[static_cast<size_t>(inner_rank_ - 1)] == loads_[i].view.stride[l] * extent;
    }
    if (!merge) inner_extent_[static_cast<size_t>(inner_rank_++)] = 1;
    const auto last = static_cast<size_t>(inner_rank_ - 1);
    inner_extent_[last] *= extent;
    for (size_t i = 0; i < e.loads_.size(); ++i) loads_[i].stride[last] = loads_[i].view.stride[l];
    mergeable = !indexed;
  }
  run_ = inner_rank_ > 0 ? inner_extent_[static_cast<size_t>(inner_rank_ - 1)] : 1;
}

void SourceRun::classify() {
  const SourceEvaluator& e = *evaluator_;
  across_ = inner_rank_ > 1 && run_ < kShortRun;
  limit_ = across_ ? kTile : kUnlimited;
  const int innermost = inner_rank_ - 1;
  // Uniform: the same over all that one call of the machine covers.
  const int uniform_below = across_ ? 0 : std::max(innermost, 0);
  for (size_t i = 0; i < e.loads_.size(); ++i) {  // ids come before what they gather
    Load& load = loads_[i];
    for (int l = 0; l < inner_rank_; ++l) {
      if (load.stride[static_cast<size_t>(l)] != 0) load.varies_to = l;
    }
    for (int g = 0; g < load.view.gather_count; ++g) {
      const Load& ids = loads_[load.info->ids[static_cast<size_t>(g)]];
      load.varies_to = std::max(load.varies_to, ids.varies_to);
      if (ids.varies_to == innermost && innermost >= 0) load.gathered_inside = true;
    }
    if (load.info->source < 0) continue;
    bool compact = load.view.gather_count == 0 || !across_;
    int64_t stride = 1;
    for (int l = innermost; l >= (across_ ? 0 : innermost) && l >= 0; --l) {
      compact = compact && load.stride[static_cast<size_t>(l)] == stride;
      stride *= inner_extent_[static_cast<size_t>(l)];
    }
    if (load.varies_to < uniform_below) {
      load.kind = Load::Kind::uniform;
    } else if (!load.info->is_table && compact && is_plain(load.info->format) && !load.gathered_inside &&
               load.view.gather_count == 0) {
      load.kind = Load::Kind::in_place;
    } else {
      load.kind = Load::Kind::staged;
      limit_ = kTile;
    }
    frame_->set_shape(static_cast<size_t>(load.info->source),
                      load.kind == Load::Kind::uniform ? TileShape::uniform : TileShape::contiguous);
  }
  for (size_t i = 0; i < e.indices_.size(); ++i) {
    Index& index = indices_[i];
    if (index.inner < uniform_below) {
      index.shape = TileShape::uniform;
    } else {
      index.shape = across_ ? TileShape::contiguous : TileShape::iota;
    }
    frame_->set_shape(static_cast<size_t>(index.info->source), index.shape);
  }
  for (const SourceEvaluator::ExtentInfo& extent : e.extents_) {
    frame_->set_shape(static_cast<size_t>(extent.source), TileShape::uniform);
  }
  for (const SourceEvaluator::ProvidedInfo& p : e.provided_) {
    if (p.source < 0) continue;
    frame_->set_shape(static_cast<size_t>(p.source), p.uniform ? TileShape::uniform : TileShape::contiguous);
  }
  frame_->start();
  steps_inside_ = inner_rank_ > 1 && !across_ && run_ <= limit_ && can_step(static_cast<size_t>(innermost - 1), true);
}

void SourceRun::set_row(const int64_t* coordinates) {
  const SourceEvaluator& e = *evaluator_;
  const size_t outer = e.loops_.size() - e.inner_;
  for (size_t i = 0; i < e.loads_.size(); ++i) {
    Load& load = loads_[i];
    load.row_offset = load.view.offset;
    for (size_t l = 0; l < outer; ++l) load.row_offset += load.view.stride[l] * coordinates[l];
  }
  for (size_t i = 0; i < e.indices_.size(); ++i) {
    const auto loop = static_cast<size_t>(e.indices_[i].loop);
    if (loop < outer) indices_[i].row_value = static_cast<int32_t>(coordinates[loop]);
  }
  stale_ = true;
}

void SourceRun::set_uniforms(const Coordinates& at, const void* const* provided) {
  const SourceEvaluator& e = *evaluator_;
  for (size_t i = 0; i < e.loads_.size(); ++i) {
    const Load& load = loads_[i];
    if (load.kind != Load::Kind::uniform) continue;
    int64_t offset;
    float zero = 0, value;
    const void* element = &zero;
    int32_t table_offset;
    if (locate(load, at.data(), offset)) {
      if (load.info->is_table) {
        table_offset = static_cast<int32_t>(offset);
        element = &table_offset;
      } else if (is_plain(load.info->format)) {
        element = load.data + offset * load.element_bytes;
      } else {
        value = decode_element(load.info->format, load.data, static_cast<size_t>(offset));
        element = &value;
      }
    }
    frame_->set_uniform(static_cast<size_t>(load.info->source), element);
  }
  for (size_t i = 0; i < e.indices_.size(); ++i) {
    const Index& index = indices_[i];
    if (index.shape != TileShape::uniform) continue;
    const int32_t value =
        index.inner < 0 ? index.row_value : static_cast<int32_t>(at[static_cast<size_t>(index.inner)]);
    frame_->set_uniform(static_cast<size_t>(index.info->source), &value);
  }
  for (const SourceEvaluator::ExtentInfo& extent : e.extents_) {
    const auto value = static_cast<int32_t>(extents_[extent.axis]);
    frame_->set_uniform(static_cast<size_t>(extent.source), &value);
  }
  for (size_t i = 0; i < e.provided_.size(); ++i) {
    const SourceEvaluator::ProvidedInfo& p = e.provided_[i];
    if (p.source >= 0 && p.uniform) frame_->set_uniform(static_cast<size_t>(p.source), provided[i]);
  }
  frame_->run_uniform();
  stale_ = false;
}

void SourceRun::walk(int64_t first, int64_t count, const void* const* provided, std::byte* out,
                     TileReduction* reduction, const Box* box) {
  if (count <= 0) return;
  const SourceEvaluator& e = *evaluator_;
  const int64_t out_bytes = e.type() == Element::bool8 ? 1 : 4;
  const auto innermost = static_cast<size_t>(std::max(inner_rank_ - 1, 0));
  Coordinates at{};
  if (inner_rank_ == 1) {
    at[0] = first;
  } else {
    int64_t rest = first;
    for (auto l = static_cast<size_t>(inner_rank_); l-- > 0;) {
      at[l] = rest % inner_extent_[l];
      rest /= inner_extent_[l];
    }
  }
  stale_ = stale_ || e.uniform_provided_ || inner_rank_ > 1;
  for (int64_t done = 0; done < count;) {
    int64_t piece = std::min(count - done, limit_);
    if (!across_) piece = std::min(piece, run_ - at[innermost]);
    Box inner{
        .loop = innermost - 1, .is_inner = true, .rows = 1, .provided_step = nullptr, .out_step = run_ * out_bytes};
    if (steps_inside_ && piece == run_ && box == nullptr && reduction == nullptr) {
      inner.rows = std::min((count - done) / run_, inner_extent_[inner.loop] - at[inner.loop]);
    }
    if (stale_) set_uniforms(at, provided);
    for (size_t i = 0; i < e.loads_.size(); ++i) {
      const Load& load = loads_[i];
      const auto source = static_cast<size_t>(load.info->source);
      if (load.kind == Load::Kind::in_place) {
        int64_t offset;
        locate(load, at.data(), offset);
        frame_->set_contiguous(source, load.data + offset * load.element_bytes);
      } else if (load.kind == Load::Kind::staged) {
        stage(load, at, piece);
        frame_->set_contiguous(source, load.staging);
      }
    }
    for (size_t i = 0; i < e.indices_.size(); ++i) {
      const Index& index = indices_[i];
      const auto source = static_cast<size_t>(index.info->source);
      if (index.shape == TileShape::iota) {
        frame_->set_iota(source, static_cast<int32_t>(at[innermost]));
      } else if (index.shape == TileShape::contiguous) {
        stage_index(index, at, piece);
        frame_->set_contiguous(source, index.staging);
      }
    }
    for (size_t i = 0; i < e.provided_.size(); ++i) {
      const SourceEvaluator::ProvidedInfo& p = e.provided_[i];
      if (p.source < 0 || p.uniform) continue;
      frame_->set_contiguous(static_cast<size_t>(p.source),
                             static_cast<const std::byte*>(provided[i]) + done * p.element_bytes);
    }
    if (reduction != nullptr) {
      frame_->reduce(piece, *reduction);
    } else if (box != nullptr) {
      set_moves(at, provided, *box);
      frame_->run_box(box->rows, piece, out + done * out_bytes, box->out_step);
    } else if (inner.rows > 1) {
      set_moves(at, provided, inner);
      frame_->run_box(inner.rows, piece, out + done * out_bytes, inner.out_step);
      piece *= inner.rows;
    } else {
      frame_->run(piece, out + done * out_bytes);
    }
    done += piece;
    advance(at, piece);
    stale_ = box != nullptr || inner.rows > 1 || (!across_ && inner_rank_ > 1 && at[innermost] == 0);
  }
  stale_ = stale_ || inner_rank_ > 1;
}

void SourceRun::evaluate(int64_t first, int64_t count, const void* const* provided, void* out) {
  walk(first, count, provided, static_cast<std::byte*>(out), nullptr);
}

int64_t SourceRun::stride_of(const Load& load, size_t loop, bool is_inner) {
  return is_inner ? load.stride[loop] : load.view.stride[loop];
}

// Whether elements differ from row to row along a loop.
bool SourceRun::varies_over(const Load& load, size_t loop, bool is_inner) const {
  if (stride_of(load, loop, is_inner) != 0) return true;
  for (int g = 0; g < load.view.gather_count; ++g) {
    if (varies_over(loads_[load.info->ids[static_cast<size_t>(g)]], loop, is_inner)) return true;
  }
  return false;
}

// Whether all that differs from row to row goes on by equal steps through memory that the machine reads.
bool SourceRun::can_step(size_t loop, bool is_inner) const {
  for (size_t i = 0; i < evaluator_->loads_.size(); ++i) {
    const Load& load = loads_[i];
    if (load.info->source < 0 || !varies_over(load, loop, is_inner)) continue;
    if (load.kind == Load::Kind::staged || load.info->is_table || load.view.gather_count > 0 ||
        !is_plain(load.info->format)) {
      return false;
    }
  }
  return true;
}

void SourceRun::set_moves(const Coordinates& at, const void* const* provided, const Box& box) {
  const SourceEvaluator& e = *evaluator_;
  for (size_t i = 0; i < e.loads_.size(); ++i) {
    const Load& load = loads_[i];
    const int64_t step = stride_of(load, box.loop, box.is_inner) * load.element_bytes;
    if (load.info->source < 0 || step == 0) continue;
    const auto source = static_cast<size_t>(load.info->source);
    if (load.kind == Load::Kind::in_place) {
      frame_->move_contiguous(source, step);
    } else {
      int64_t offset;
      locate(load, at.data(), offset);
      frame_->move_uniform(source, load.data + offset * load.element_bytes, step);
    }
  }
  for (size_t i = 0; i < e.indices_.size(); ++i) {
    const int loop = box.is_inner ? indices_[i].inner : e.indices_[i].loop;
    if (loop != static_cast<int>(box.loop)) continue;
    frame_->move_count(static_cast<size_t>(e.indices_[i].source));
  }
  for (size_t i = 0; i < e.provided_.size(); ++i) {
    const SourceEvaluator::ProvidedInfo& p = e.provided_[i];
    if (p.source < 0) continue;
    const int64_t step = !box.is_inner ? box.provided_step[i] : p.uniform ? 0 : run_ * p.element_bytes;
    if (p.uniform) frame_->move_uniform(static_cast<size_t>(p.source), provided[i], step);
    else frame_->move_contiguous(static_cast<size_t>(p.source), step);
  }
}

void SourceRun::evaluate_box(const int64_t* coordinates, int64_t rows, int64_t first, int64_t count,
                             const void* const* provided, const int64_t* provided_step, void* out, int64_t out_step) {
  const SourceEvaluator& e = *evaluator_;
  const size_t outer = e.loops_.size() - e.inner_;
  if (rows <= 0 || count <= 0) return;
  auto* to = static_cast<std::byte*>(out);
  // The rows as boxes along the last outer loop that has several.
  size_t loop = outer;
  while (loop > 0 && outer_extent_[loop - 1] == 1) --loop;
  if (loop == 0) {
    stale_ = true;
    if (outer > 0) set_row(coordinates);
    walk(first, count, provided, to, nullptr);
    return;
  }
  --loop;
  const bool steps = can_step(loop, false);
  Coordinates at{};
  std::copy_n(coordinates, outer, at.begin());
  std::array<const void*, kMaxProvided> values{};
  for (size_t i = 0; i < e.provided_.size(); ++i) values[i] = provided[i];
  for (int64_t done = 0; done < rows;) {
    const Box box{.loop = loop,
                  .is_inner = false,
                  .rows = steps ? std::min(rows - done, outer_extent_[loop] - at[loop]) : 1,
                  .provided_step = provided_step,
                  .out_step = out_step};
    set_row(at.data());
    walk(first, count, values.data(), to, nullptr, box.rows > 1 ? &box : nullptr);
    done += box.rows;
    to += box.rows * out_step;
    for (size_t i = 0; i < e.provided_.size(); ++i) {
      values[i] = static_cast<const std::byte*>(values[i]) + box.rows * provided_step[i];
    }
    at[loop] += box.rows;
    for (size_t l = loop; l > 0 && at[l] == outer_extent_[l]; --l) {
      at[l] = 0;
      ++at[l - 1];
    }
  }
}

bool SourceRun::can_run_rows() {
  const SourceEvaluator& e = *evaluator_;
  const size_t outer = e.loops_.size() - e.inner_;
  if (e.inner_ != 1 || e.type() == Element::bool8 || e.uniform_provided_) return false;
  for (size_t i = 0; i < e.loads_.size(); ++i) {
    const Load& load = loads_[i];
    if (load.info->source < 0 || load.kind == Load::Kind::uniform) continue;
    if (load.view.gather_count > 0 || load.info->is_table) return false;
    for (size_t l = 0; l < outer; ++l) {
      if (load.view.stride[l] != 0) return false;
    }
  }
  for (size_t i = 0; i < e.loads_.size(); ++i) {
    const Load& load = loads_[i];
    if (load.info->source >= 0 && load.kind != Load::Kind::uniform) {
      frame_->repeat(static_cast<size_t>(load.info->source));
    }
  }
  for (size_t i = 0; i < e.indices_.size(); ++i) {
    if (indices_[i].shape == TileShape::iota) frame_->repeat(static_cast<size_t>(indices_[i].info->source));
  }
  for (const SourceEvaluator::ProvidedInfo& p : e.provided_) {
    if (p.source >= 0 && p.same_in_rows) frame_->repeat(static_cast<size_t>(p.source));
  }
  return true;
}

void SourceRun::keep_row(std::byte* kept) {
  set_uniforms({}, nullptr);
  frame_->copy_uniforms(kept);
}

void SourceRun::evaluate_rows(const std::byte* kept, int64_t rows, int64_t first, int64_t count,
                              const void* const* provided, void* out) {
  const SourceEvaluator& e = *evaluator_;
  Coordinates at{};
  at[0] = first;
  for (size_t i = 0; i < e.loads_.size(); ++i) {
    const Load& load = loads_[i];
    if (load.info->source < 0 || load.kind == Load::Kind::uniform) continue;
    stage(load, at, count);  // also what could be read in place, where a chunk may go beyond its end
    frame_->set_contiguous(static_cast<size_t>(load.info->source), load.staging);
  }
  for (size_t i = 0; i < e.indices_.size(); ++i) {
    if (indices_[i].shape != TileShape::iota) continue;
    frame_->set_iota(static_cast<size_t>(indices_[i].info->source), static_cast<int32_t>(first));
  }
  for (size_t i = 0; i < e.provided_.size(); ++i) {
    const int source = e.provided_[i].source;
    if (source >= 0) frame_->set_contiguous(static_cast<size_t>(source), provided[i]);
  }
  frame_->run_rows(rows, kept, out);
}

void SourceRun::reduce(int64_t first, int64_t count, const void* const* provided, TileReduction& reduction) {
  walk(first, count, provided, nullptr, &reduction);
}

}  // namespace weft
