#include "ops/contract/line_norm.h"

#include <algorithm>
#include <cstring>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"

namespace weft {

LineNorm::LineNorm(const KernelContext& context, const Region& region)
    : reduced_(region.body.reduced), element_bytes_(region.body.program.type() == Element::bool8 ? 1 : 4) {
  const Source& body = region.body;
  if (body.reductions.size() > LineNormRun::kMaxReductions) {
    throw Error("step '" + context.step.name + "': more than " + std::to_string(LineNormRun::kMaxReductions) +
                " reductions of contractions");
  }
  if (region.contractions.size() > ContractPass::kMaxContractions) {
    throw Error("step '" + context.step.name + "': a norm of more than " +
                std::to_string(ContractPass::kMaxContractions) + " contractions");
  }
  std::vector<AxisId> loops = without(region.axes, reduced_);
  loops.push_back(reduced_);
  std::vector<ProvidedSource> provided;
  for (size_t i = 0; i < region.contractions.size(); ++i) {
    varies_.push_back(contains(contraction_axes(region, region.contractions[i]), reduced_));
    provided.push_back({.op = ScalarOp::contraction, .imm = static_cast<int32_t>(i), .uniform = !varies_.back()});
  }
  const auto reserve = [this](size_t bytes) {
    const size_t at = workspace_bytes_;
    workspace_bytes_ += align_up(bytes);
    return at;
  };
  for (size_t i = 0; i < body.reductions.size(); ++i) {
    const Reduction& reduction = body.reductions[i];
    Step step{.op = reduction.op,
              .element = reduction.program.type(),
              .evaluator = SourceEvaluator(context.graph, region, reduction.program, loops, 1, provided),
              .workspace_at = 0};
    step.workspace_at = reserve(step.evaluator.workspace_bytes());
    reductions_.push_back(std::move(step));
    provided.push_back({.op = ScalarOp::reduction, .imm = static_cast<int32_t>(i), .uniform = true});
  }
  body_ = SourceEvaluator(context.graph, region, body.program, loops, 1, provided);
  body_at_ = reserve(body_.workspace_bytes());
  pieces_at_ = reserve(region.contractions.size() * kTile * sizeof(float));
  piece_out_at_ = reserve(kTile * sizeof(float));
}

LineNormRun LineNorm::bind(const StepArgs& args, std::byte* workspace) const {
  LineNormRun run;
  run.owner_ = this;
  run.extent_ = args.extents[reduced_];
  for (size_t i = 0; i < reductions_.size(); ++i) {
    run.reductions_[i] = reductions_[i].evaluator.bind(args, workspace + reductions_[i].workspace_at);
  }
  run.body_ = body_.bind(args, workspace + body_at_);
  run.pieces_ = reinterpret_cast<float*>(workspace + pieces_at_);
  run.piece_out_ = workspace + piece_out_at_;
  return run;
}

// Elements [first, first + count) of the line's contractions, side by side.
const void* const* LineNormRun::provide(const Sums* sums, int64_t first, int64_t count) {
  for (size_t i = 0; i < owner_->varies_.size(); ++i) {
    const Sums& from = sums[i];
    const float* at = from.at + (owner_->varies_[i] ? first * from.stride : 0);
    provided_[i] = at;
    if (!owner_->varies_[i] || from.stride == 1) continue;
    float* piece = pieces_ + static_cast<int64_t>(i) * kTile;
    for (int64_t j = 0; j < count; ++j) piece[j] = at[j * from.stride];
    provided_[i] = piece;
  }
  for (size_t i = 0; i < owner_->reductions_.size(); ++i) provided_[owner_->varies_.size() + i] = &results_[i];
  return provided_.data();
}

void LineNormRun::line(const int64_t* coordinates, const Sums* sums, std::byte* out, int64_t out_stride) {
  bool side_by_side = true;
  for (size_t i = 0; i < owner_->varies_.size(); ++i) {
    side_by_side = side_by_side && (!owner_->varies_[i] || sums[i].stride == 1);
  }
  const int64_t step = side_by_side ? std::max<int64_t>(extent_, 1) : kTile;
  for (size_t i = 0; i < owner_->reductions_.size(); ++i) {
    TileReduction reduction;
    reduction.reset(owner_->reductions_[i].op, owner_->reductions_[i].element);
    reductions_[i]->set_row(coordinates);
    for (int64_t first = 0; first < extent_; first += step) {
      const int64_t count = std::min(step, extent_ - first);
      reductions_[i]->reduce(first, count, provide(sums, first, count), reduction);
    }
    results_[i] = reduction.result();
  }
  body_->set_row(coordinates);
  if (side_by_side && out_stride == 1) {
    body_->evaluate(0, extent_, provide(sums, 0, extent_), out);
    return;
  }
  const size_t bytes = owner_->element_bytes_;
  for (int64_t first = 0; first < extent_; first += kTile) {
    const int64_t count = std::min(kTile, extent_ - first);
    body_->evaluate(first, count, provide(sums, first, count), piece_out_);
    for (int64_t j = 0; j < count; ++j) {
      std::memcpy(out + static_cast<size_t>((first + j) * out_stride) * bytes,
                  piece_out_ + static_cast<size_t>(j) * bytes, bytes);
    }
  }
}

}  // namespace weft
