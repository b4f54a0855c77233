#include "ops/attention/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/align.h"
#include "core/error.h"
#include "core/record/axis_list.h"
#include "ops/attention/tiles.h"
#include "ops/contract/kernels.h"

namespace weft {

AttentionKernel::AttentionKernel(const KernelContext& context, const Bf16Products* bf16)
    : bf16_(bf16),
      region_(&context.step.regions.front()),
      outputs_(context.step.outputs),
      key_(region_->attention->key),
      query_(region_->body.axes),
      mask_(region_->body.program),
      epilogue_(context, *region_, context.step.outputs),
      threads_(context.threads) {
  const auto fail = [&](const std::string& what) { throw Error("step '" + context.step.name + "': " + what); };
  std::erase(query_, key_);
  if (region_->contractions.size() > kMaxScores) fail("a score of more than 4 contractions");
  if (!region_->body.reductions.empty()) fail("a score with a reduction of its own");

  for (size_t i = 0; i < region_->contractions.size(); ++i) {
    const Contraction& contraction = region_->contractions[i];
    const Source& source = region_->lhs[static_cast<size_t>(contraction.lhs)];
    const std::vector<AxisId> rows = without(source.axes, contraction.over);
    std::vector<size_t> row_query;
    for (const AxisId axis : rows) {
      row_query.push_back(find_axis(query_, axis));
      if (row_query.back() == query_.size()) fail("a query has an axis that the score lacks");
    }
    scores_.push_back({.contraction = static_cast<int>(i),
                       .lhs = LhsRows(context, *region_, source, rows, contraction.over),
                       .row_query = row_query,
                       .keys = KeyRows(context, *region_, contraction.rhs, key_, query_, contraction.over),
                       .max_rows = element_count(rows, context.max_extents),
                       .matrix_at = 0,
                       .workspace_at = 0,
                       .scores_at = 0,
                       .packed_at = 0,
                       .left_at = 0,
                       .bf16_queries_at = 0,
                       .bf16_keys_at = 0});
  }
  const Operand& value = region_->operands[static_cast<size_t>(region_->attention->value)];
  value_axes_ = without(without(loop_axes(*region_, value), key_), query_);
  value_.push_back(KeyRows(context, *region_, region_->attention->value, key_, query_, value_axes_));
  find_sources(context);

  // The cache whose pages hold the keys.
  const auto in_cache = [&](int cache) {
    if (cache < 0) return;
    if (cache_ >= 0 && cache_ != cache) fail("attention over the keys of two caches");
    cache_ = cache;
  };
  for (const Score& score : scores_) in_cache(score.keys.cache());
  for (const Cached& cached : cached_) in_cache(cached.rows.cache());
  in_cache(value_.front().cache());
  if (cache_ >= 0) {
    const CacheRecord& cache = context.graph.caches[static_cast<size_t>(cache_)];
    seq_ = cache.seq;
    pos_ = static_cast<int>(find_axis(query_, cache.pos));
    if (pos_ == static_cast<int>(query_.size())) fail("a score over cached keys lacks the axis of positions");
    const auto dense = [&](const KeyRows& rows) {
      if (rows.cache() < 0) fail("keys of a cache meet values that lie elsewhere");
    };
    for (const Score& score : scores_) dense(score.keys);
    dense(value_.front());
  }
  for (size_t q = 0; q < query_.size(); ++q) {
    bool depends = value_.front().depends_on(q);
    for (const Score& score : scores_) depends = depends || score.keys.depends_on(q);
    if (static_cast<int>(q) == pos_) {
      pos_alone_ = depends;
    } else if (depends) {
      batch_.push_back(q);
      batch_axes_.push_back(query_[q]);
    } else {
      rest_.push_back(q);
      rest_axes_.push_back(query_[q]);
    }
  }
  batches_together_ = !pos_alone_ && value_.front().key_leads();
  for (const Score& score : scores_) batches_together_ = batches_together_ && score.keys.key_leads();
  causal_ = find_causal();
  rest_rows_ = element_count(rest_axes_, context.max_extents);
  const std::string what = describe();
  name_ = "attention " + what;
  if (bf16_ != nullptr) {
    bf16_name_ = "attention " + std::string(bf16_->name) + " " + what;
    tile_rows_ = kTileRows;
  }
  lay_out();
}

// The score's own sources: what it reads through the pages, and what decides on masks.
void AttentionKernel::find_sources(const KernelContext& context) {
  std::vector<AxisId> loops = query_;
  loops.push_back(key_);
  std::vector<ProvidedSource> provided;
  for (const Score& score : scores_) provided.push_back({ScalarOp::contraction, score.contraction, false});
  for (const ScalarInstr& instr : region_->body.program.code) {
    if (instr.op != ScalarOp::load) continue;
    const Operand& operand = region_->operands[static_cast<size_t>(instr.imm)];
    const ValueRecord& value = context.graph.values[operand.value];
    const bool known =
        std::any_of(cached_.begin(), cached_.end(), [&](const Cached& c) { return c.operand == instr.imm; });
    if (!value.is_cached() || known) continue;
    if (cached_.size() == kMaxCached)
      throw Error("step '" + context.step.name + "': a score of too many cached values");
    KeyRows rows(context, *region_, instr.imm, key_, query_, {});
    bool by_key = true;
    for (size_t q = 0; q < query_.size(); ++q) by_key = by_key && !rows.depends_on(q);
    cached_.push_back({instr.imm, std::move(rows), by_key, 0});
    provided.push_back({ScalarOp::load, instr.imm, false, by_key});
  }
  body_ = SourceEvaluator(context.graph, *region_, region_->body.program, loops, 1, provided);
  if (const std::optional<uint16_t> open = mask_.unmasked()) {
    ScalarProgram program = region_->body.program;
    program.code.resize(*open + size_t{1});
    open_body_ = SourceEvaluator(context.graph, *region_, program, loops, 1, provided);
  }
  if (const ScalarProgram& sink = region_->attention->sink; !sink.empty()) {
    sink_ = SourceEvaluator(context.graph, *region_, sink, loops, 1);
  }

  for (const ScalarInstr& instr : mask_.sources()) {
    IntSource& source = mask_sources_.emplace_back();
    using Kind = IntSource::Kind;
    if (instr.op == ScalarOp::index) {
      const auto axis = static_cast<AxisId>(instr.imm);
      source.kind = axis == key_ ? Kind::key_index : Kind::query_index;
      source.query = find_axis(query_, axis);
    } else if (instr.op == ScalarOp::load) {
      const auto at =
          std::find_if(cached_.begin(), cached_.end(), [&](const Cached& c) { return c.operand == instr.imm; });
      if (at != cached_.end()) {
        source.cached = static_cast<size_t>(at - cached_.begin());
        source.kind = at->by_key ? Kind::cached : Kind::unknown;
        continue;
      }
      const std::vector<AxisId> axes = loop_axes(*region_, region_->operands[static_cast<size_t>(instr.imm)]);
      const bool by_key = contains(axes, key_);
      source.kind = !by_key ? Kind::by_query : axes.size() == 1 ? Kind::by_key : Kind::unknown;
      if (source.kind == Kind::unknown) continue;
      ScalarProgram load;
      load.add({.op = ScalarOp::load, .type = Element::i32, .imm = instr.imm});
      source.load = SourceEvaluator(context.graph, *region_, load, loops, 1);
    }
  }
}

// The one pattern that is worth a separate kernel: a scale, and a comparison of a key's and a query's position.
std::optional<AttentionKernel::Causal> AttentionKernel::find_causal() const {
  const std::vector<ScalarInstr>& code = region_->body.program.code;
  if (scores_.size() != 1 || code.empty()) return std::nullopt;
  Causal causal;
  const auto is_scaled = [&](uint16_t at) {
    const ScalarInstr& instr = code[at];
    if (instr.op == ScalarOp::contraction) return true;
    if (instr.op != ScalarOp::mul || instr.type != Element::f32) return false;
    for (const auto& [x, y] : {std::pair(instr.a, instr.b), std::pair(instr.b, instr.a)}) {
      if (code[x].op == ScalarOp::contraction && code[y].op == ScalarOp::constant) {
        causal.scale = code[y].imm_f;
        return true;
      }
    }
    return false;
  };
  const uint16_t result = region_->body.program.result();
  if (is_scaled(result)) return causal;
  const ScalarInstr& select = code[result];
  if (select.op != ScalarOp::select) return std::nullopt;
  const auto never = [&](uint16_t at) {
    return code[at].op == ScalarOp::constant && code[at].imm_f == -std::numeric_limits<float>::infinity();
  };
  const ScalarInstr& test = code[select.a];
  const bool inverted = never(select.b);
  if (inverted ? !is_scaled(select.c) : !is_scaled(select.b) || !never(select.c)) return std::nullopt;
  // key <= query, as one of: key <= query, query >= key; or of what never shows: key > query, query < key.
  uint16_t key_at = test.a, query_at = test.b;
  if (test.op == (inverted ? ScalarOp::lt : ScalarOp::ge)) std::swap(key_at, query_at);
  else if (test.op != (inverted ? ScalarOp::gt : ScalarOp::le)) return std::nullopt;
  const auto source_of = [&](uint16_t at) {
    const auto sources = mask_.sources();
    size_t i = 0;
    while (i < sources.size() && !(sources[i].op == code[at].op && sources[i].imm == code[at].imm)) ++i;
    return i;
  };
  causal.key = source_of(key_at);
  causal.query = source_of(query_at);
  if (causal.key >= mask_sources_.size() || causal.query >= mask_sources_.size() ||
      mask_sources_.size() > kMaxMaskSources) {
    return std::nullopt;
  }
  using Kind = IntSource::Kind;
  const Kind key = mask_sources_[causal.key].kind, query = mask_sources_[causal.query].kind;
  if (key != Kind::key_index && key != Kind::cached && key != Kind::by_key) return std::nullopt;
  if (query != Kind::query_index && query != Kind::by_query) return std::nullopt;
  causal.masked = true;
  return causal;
}

void AttentionKernel::lay_out() {
  const auto shared = [this](size_t bytes) { return std::exchange(scratch_bytes_, scratch_bytes_ + align_up(bytes)); };
  const auto own = [this](size_t bytes) { return std::exchange(thread_bytes_, thread_bytes_ + align_up(bytes)); };
  const auto rows = static_cast<size_t>(tile_rows_);
  const size_t score_bytes = rows * kBlockKeys * sizeof(float);
  finish_at_ = shared(epilogue_.scratch_bytes());
  int64_t copied_width = 0;
  for (Score& score : scores_) {
    const int64_t width = score.keys.max_width();
    if (!score.lhs.in_place()) score.matrix_at = shared(static_cast<size_t>(score.max_rows * width) * sizeof(float));
    score.workspace_at = own(score.lhs.workspace_bytes());
    score.scores_at = own(score_bytes);
    score.packed_at = own(rows * static_cast<size_t>(width) * sizeof(float));
    score.left_at = own(rows * sizeof(float*));
    if (bf16_ != nullptr) {
      const int64_t heads = kF32TileRows / kBf16FirstRows;
      score.bf16_queries_at =
          own(std::max(Bf16Products::queries_bytes(tile_rows_, width), static_cast<size_t>(heads * few_step(width))));
      score.bf16_keys_at = own(Bf16Products::keys_bytes(width));
    }
    if (!score.keys.contiguous()) copied_width = std::max(copied_width, width);
  }
  // The body reads a block's products, and writes over the first.
  scores_at_ = scores_.empty() ? own(score_bytes) : scores_.front().scores_at;
  for (Cached& cached : cached_) cached.values_at = own(kBlockKeys * 4);
  for (IntSource& source : mask_sources_) {
    source.workspace_at = own(source.load.workspace_bytes());
    source.values_at = own(static_cast<size_t>(std::max(kBlockKeys, tile_rows_)) * sizeof(int32_t));
  }
  const int64_t width = value_.front().max_width();
  stride_ = align_up(width, kWidthGrain);
  body_at_ = own(body_.workspace_bytes());
  kept_at_ = own(rows * body_.row_bytes());
  open_body_at_ = own(open_body_.workspace_bytes());
  open_kept_at_ = own(rows * open_body_.row_bytes());
  sink_at_ = own(sink_.workspace_bytes());
  state_at_ = own(sizeof(SoftmaxState));
  if (statistics()) {
    logs_at_ = own(rows * sizeof(float));
    totals_before_at_ = own(rows * sizeof(float));
  }
  sums_at_ = own(static_cast<size_t>(tile_rows_ * stride_) * sizeof(float));
  panel_at_ = own(kPanelBytes);
  values_at_ = own(static_cast<size_t>(kBlockKeys * width) * sizeof(float));
  keys_at_ = own(static_cast<size_t>(kBlockKeys * copied_width) * sizeof(float));
  coordinates_at_ = own(rows * kMaxLoops * sizeof(int64_t));
  pointers_at_ = own(((2 + size_t{Ahead::kMostOperands}) * kBlockKeys + rows) * sizeof(void*));
  index_at_ = own(2 * kBlockKeys * sizeof(int64_t));
  if (bf16_ != nullptr) {
    totals_at_ = own(rows * kPartialTotals * sizeof(float));
    weights_at_ = own(rows * kBlockKeys * sizeof(uint16_t));
    bf16_values_at_ = own(2 * Bf16Products::values_bytes(width));
  }
  part_floats_ = static_cast<size_t>(tile_rows_ * (stride_ + (statistics() ? 3 : 2)));
  parts_at_ = shared(threads_ > 1 ? 3 * static_cast<size_t>(threads_) * part_floats_ * sizeof(float) : 0);
  threads_at_ = shared(static_cast<size_t>(threads_) * thread_bytes_);
}

std::vector<KernelRange> AttentionKernel::kernels() const {
  if (bf16_ == nullptr) return {{.name = name_}};
  // How many positions of a sequence it takes.
  const int64_t first = pos_alone_ ? 1 : (kBf16FirstRows + rest_rows_ - 1) / std::max<int64_t>(rest_rows_, 1);
  if (first <= 1) return {{.name = bf16_name_}};
  return {{.name = name_, .last_rows = first - 1}, {.name = bf16_name_, .first_rows = first}};
}

std::string AttentionKernel::describe() const {
  std::string text(weft::name(value_.front().format()));
  if (cache_ >= 0) text += " paged";
  text += causal_ ? causal_->masked ? " causal" : " scaled" : " score program";
  if (!region_->attention->sink.empty()) text += " with a sink";
  if (statistics()) text += " with statistics";
  return text;
}

}  // namespace weft
