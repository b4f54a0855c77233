#include "ops/cpu/tile_machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <new>

#include "core/align.h"
#include "ops/cpu/tile_kernels.h"

namespace weft {
namespace {

constexpr size_t kChunkBytes = kTileChunk * 4;
constexpr size_t kRegisterBytes = kTileRegister * 4;
constexpr size_t kSteps = 3;  // of one operation at most: a load, what it does, a store
constexpr uint64_t kAll = ~uint64_t{0};

// Of an operation of the machine.
int machine_arguments(ScalarOp op) { return op == ScalarOp::lookup ? 2 : argument_count(op); }
bool reads(ScalarOp op, int argument) { return argument < machine_arguments(op); }

}  // namespace

void TileReduction::reset(ReduceOp reduce_op, Element reduced_element) {
  *this = {.op = reduce_op, .element = reduced_element};
  best = -std::numeric_limits<float>::infinity();
  int_best = std::numeric_limits<int32_t>::min();
}

void TileReduction::merge(const TileReduction& other) {
  sum += other.sum;
  int_sum += other.int_sum;
  const bool larger = element == Element::f32 ? other.best > best : other.int_best > int_best;
  if (other.best_index >= 0 && (best_index < 0 || larger)) {
    best = other.best;
    int_best = other.int_best;
    best_index = count + other.best_index;
  }
  count += other.count;
}

uint32_t TileReduction::result() const {
  const bool floats = element == Element::f32;
  const double total = floats ? sum : static_cast<double>(int_sum);
  switch (op) {
    case ReduceOp::sum:
      return floats ? std::bit_cast<uint32_t>(static_cast<float>(sum)) : static_cast<uint32_t>(int_sum);
    case ReduceOp::mean: return std::bit_cast<uint32_t>(static_cast<float>(total / static_cast<double>(count)));
    case ReduceOp::max: return floats ? std::bit_cast<uint32_t>(best) : static_cast<uint32_t>(int_best);
    case ReduceOp::argmax: break;
  }
  return static_cast<uint32_t>(std::max<int64_t>(best_index, 0));
}

TileProgram::TileProgram(const ScalarProgram& program) {
  if (program.empty()) return;
  type_ = program.type();
  add_operations(program);
  allocate_registers();
  lay_out();
}

// Values are the instructions that the result needs, in their order.
void TileProgram::add_operations(const ScalarProgram& program) {
  const std::vector<ScalarInstr>& code = program.code;
  std::vector<bool> needed(code.size(), false);
  needed.back() = true;
  for (size_t i = code.size(); i-- > 0;) {
    if (!needed[i]) continue;
    const uint16_t arguments[] = {code[i].a, code[i].b, code[i].c};
    for (int j = 0; j < argument_count(code[i].op); ++j) needed[arguments[j]] = true;
  }

  std::vector<uint16_t> value_of(code.size(), 0);
  for (size_t i = 0; i < code.size(); ++i) {
    if (!needed[i]) continue;
    const ScalarInstr& instr = code[i];
    if (argument_count(instr.op) == 0 && instr.op != ScalarOp::constant) {
      value_of[i] = add_source(instr);
      continue;
    }
    const uint16_t offsets = instr.op == ScalarOp::lookup
                                 ? add_source({.op = ScalarOp::lookup, .type = Element::i32, .imm = instr.imm})
                                 : uint16_t{0};
    const auto value = static_cast<uint16_t>(values_.size());
    value_of[i] = value;
    ValueInfo info{.type = instr.type};
    if (instr.op == ScalarOp::constant) {
      info.is_constant = true;
      info.bits = instr.type == Element::f32   ? std::bit_cast<int32_t>(instr.imm_f)
                  : instr.type == Element::i32 ? instr.imm
                                               : -static_cast<int32_t>(instr.imm != 0);
    } else {
      Operation operation{Op::scalar, instr.op, code[instr.a].type, instr.type, value, value_of[instr.a], 0, 0};
      operation.b = instr.op == ScalarOp::lookup ? offsets : reads(instr.op, 1) ? value_of[instr.b] : operation.a;
      operation.c = reads(instr.op, 2) ? value_of[instr.c] : operation.a;
      operations_.push_back(operation);
      const uint16_t arguments[] = {operation.a, operation.b, operation.c};
      for (int j = 0; reads(instr.op, j); ++j) ++values_[arguments[j]].uses;
    }
    values_.push_back(info);
  }
  result_ = value_of.back();
}

// The value of a source.
uint16_t TileProgram::add_source(const ScalarInstr& instr) {
  const auto same = std::find(sources_.begin(), sources_.end(), instr);
  if (same != sources_.end()) return source_values_[static_cast<size_t>(same - sources_.begin())];
  const auto value = static_cast<uint16_t>(values_.size());
  values_.push_back({.type = instr.type, .source = static_cast<int>(sources_.size())});
  sources_.push_back(instr);
  source_values_.push_back(value);
  if (instr.type != Element::f32) {
    const Op op = instr.type == Element::i32 ? Op::iota : Op::load_bool;
    operations_.push_back({op, instr.op, instr.type, instr.type, value, value, value, value});
  }
  return value;
}

void TileProgram::allocate_registers() {
  std::vector<size_t> last_use(values_.size(), 0);
  for (size_t i = 0; i < operations_.size(); ++i) {
    for (const uint16_t v : {operations_[i].a, operations_[i].b, operations_[i].c, operations_[i].out}) last_use[v] = i;
  }
  last_use[result_] = operations_.size();
  std::vector<int> free;
  for (size_t i = 0; i < operations_.size(); ++i) {
    // An operation reads a chunk of its arguments before it writes that of its result, so they may share.
    std::vector<uint16_t> arguments = {operations_[i].a, operations_[i].b, operations_[i].c};
    std::sort(arguments.begin(), arguments.end());
    arguments.erase(std::unique(arguments.begin(), arguments.end()), arguments.end());
    for (const uint16_t v : arguments) {
      if (v != operations_[i].out && last_use[v] == i && values_[v].tile_register >= 0) {
        free.push_back(values_[v].tile_register);
      }
    }
    ValueInfo& out = values_[operations_[i].out];
    if (free.empty()) {
      out.tile_register = register_count_++;
    } else {
      out.tile_register = free.back();
      free.pop_back();
    }
  }
}

void TileProgram::lay_out() {
  size_t at = align_up(sizeof(TileFrame));
  const auto reserve = [&](size_t& where, size_t bytes) {
    where = at;
    at += align_up(bytes);
  };
  reserve(shapes_at_, sources_.size() * sizeof(TileShape));
  reserve(tables_at_, sources_.size() * sizeof(TileTable));
  reserve(source_data_at_, sources_.size() * sizeof(void*));
  reserve(slots_at_, values_.size() * sizeof(TileSlot));
  reserve(order_at_, 2 * operations_.size() * sizeof(uint16_t));
  reserve(steps_at_, (kSteps * operations_.size() + 2) * sizeof(TileStep));
  reserve(moves_at_, sources_.size() * sizeof(TileMove));
  reserve(uniforms_at_, uniform_bytes());
  reserve(registers_at_, static_cast<size_t>(register_count_) * kRegisterBytes);
  reserve(edges_at_, (sources_.size() + 1) * kChunkBytes);
  reserve(result_at_, kTile * 4);
  frame_bytes_ = at;
}

TileFrame* TileProgram::make_frame(std::byte* memory) const {
  TileFrame* frame = new (memory) TileFrame;
  frame->program_ = this;
  frame->shapes_ = reinterpret_cast<TileShape*>(memory + shapes_at_);
  frame->tables_ = reinterpret_cast<TileTable*>(memory + tables_at_);
  frame->source_data_ = reinterpret_cast<const std::byte**>(memory + source_data_at_);
  frame->slots_ = reinterpret_cast<TileSlot*>(memory + slots_at_);
  frame->order_ = reinterpret_cast<uint16_t*>(memory + order_at_);
  frame->steps_ = reinterpret_cast<TileStep*>(memory + steps_at_);
  frame->moves_ = reinterpret_cast<TileMove*>(memory + moves_at_);
  frame->uniforms_ = memory + uniforms_at_;
  frame->registers_ = memory + registers_at_;
  frame->edges_ = memory + edges_at_;
  frame->result_ = memory + result_at_;
  for (size_t v = 0; v < values_.size(); ++v) {
    new (&frame->slots_[v]) TileSlot;
    if (values_[v].is_constant) std::memcpy(frame->uniforms_ + 4 * v, &values_[v].bits, 4);
  }
  return frame;
}

void TileFrame::start() {
  const TileProgram& program = *program_;
  for (size_t v = 0; v < program.values_.size(); ++v) {
    const TileProgram::ValueInfo& info = program.values_[v];
    if (info.is_constant) {
      slots_[v] = {.uniform_at = 4 * v};
    } else if (info.source >= 0) {
      const TileShape shape = shapes_[info.source];
      if (shape == TileShape::uniform) {
        slots_[v] = {.uniform_at = 4 * v};
      } else if (shape == TileShape::iota || info.type == Element::bool8) {
        slots_[v] = {.data = registers_ + static_cast<size_t>(info.tile_register) * kRegisterBytes, .lane_mask = kAll};
      } else {
        slots_[v] = {.lane_mask = kAll, .base_mask = kAll};
      }
    }
  }
  uint16_t* uniform_order = order_;
  uint16_t* tile_order = order_ + program.operations_.size();
  tile_count_ = uniform_count_ = 0;
  for (size_t i = 0; i < program.operations_.size(); ++i) {
    const TileProgram::Operation& op = program.operations_[i];
    const auto index = static_cast<uint16_t>(i);
    if (op.op == TileProgram::Op::iota || op.op == TileProgram::Op::load_bool) {
      const TileShape shape = shapes_[program.values_[op.out].source];
      const TileShape loaded = op.op == TileProgram::Op::iota ? TileShape::iota : TileShape::contiguous;
      if (shape == loaded) tile_order[tile_count_++] = index;
    } else if (slots_[op.a].is_uniform() && slots_[op.b].is_uniform() && slots_[op.c].is_uniform()) {
      slots_[op.out] = {.uniform_at = 4 * size_t{op.out}};
      uniform_order[uniform_count_++] = index;
    } else {
      const int tile_register = program.values_[op.out].tile_register;
      slots_[op.out] = {.data = registers_ + static_cast<size_t>(tile_register) * kRegisterBytes, .lane_mask = kAll};
      tile_order[tile_count_++] = index;
    }
  }
  uniform_steps_ = add_steps(tile_order, tile_count_, false, steps_);
  add_steps(uniform_order, uniform_count_, true, uniform_steps_);
  uniform_result_ = slots_[program.result_].is_uniform();
}

// A chain of operations in their order, at `step`; returns where it ends. What an operation computes is held for the
// next one; it is stored where anything else reads it.
TileStep* TileFrame::add_steps(const uint16_t* order, size_t count, bool uniform, TileStep* step) {
  using Does = TileStepKind::Does;
  using Op = TileProgram::Op;
  if (count == 0) return step;
  const TileProgram& program = *program_;
  const auto add = [&step](TileStepKind kind, const TileSlot* a, const TileSlot* b = nullptr,
                           const TileTable* table = nullptr) {
    kind.uniform_a = a != nullptr && a->is_uniform();
    kind.uniform_b = b != nullptr && b->is_uniform();
    *step++ = {code_of_step(kind), a, b, table};
  };
  int held = -1;
  for (size_t i = 0; i < count; ++i) {
    const TileProgram::Operation& op = program.operations_[order[i]];
    const TileSlot* out = &slots_[op.out];
    if (op.op == Op::scalar) {
      const uint16_t arguments[] = {op.a, op.b, op.c};
      const int most = machine_arguments(op.scalar);
      TileStepKind kind{.op = op.scalar, .argument = op.argument, .type = op.type, .is_only = count == 1 && !uniform};
      while (kind.holds < most && arguments[kind.holds] != held) ++kind.holds;
      if (kind.holds == most) {
        const bool loads = op.scalar != ScalarOp::select && op.scalar != ScalarOp::cast && !uniform;
        kind.holds = loads ? TileStepKind::kNone : 0;
        if (!loads) add({.does = Does::load}, &slots_[op.a]);
      }
      const TileSlot* others[2] = {};
      for (int j = 0, other = 0; j < most; ++j) {
        if (j != kind.holds) others[other++] = &slots_[arguments[j]];
      }
      const bool looks_up = op.scalar == ScalarOp::lookup;
      add(kind, others[0], others[1], looks_up ? &tables_[program.values_[op.b].source] : nullptr);
    } else {
      add({.does = op.op == Op::iota ? Does::iota : Does::load_bool}, out);
    }
    held = op.out;
    if (uniform) {  // for the other chain
      add({.does = Does::store_uniform}, out);
      continue;
    }
    if (i + 1 == count) break;
    const TileProgram::Operation& next = program.operations_[order[i + 1]];
    const bool at_once = next.op == Op::scalar && (next.a == held || next.b == held || next.c == held);
    if (!at_once || program.values_[op.out].uses > 1) add({.does = Does::store}, out);
  }
  if (uniform) add({.does = Does::end}, nullptr);
  else add({.does = Does::finish}, &slots_[program.result_]);
  return step;
}

void TileFrame::set_uniform(size_t source, const void* value) {
  const uint16_t v = program_->source_values_[source];
  int32_t bits;
  if (program_->values_[v].type == Element::bool8) {
    bits = -static_cast<int32_t>(*static_cast<const uint8_t*>(value) != 0);
  } else {
    std::memcpy(&bits, value, 4);
  }
  std::memcpy(uniforms_ + 4 * size_t{v}, &bits, 4);
}

void TileFrame::run_uniform() {
  if (uniform_count_ > 0) run_tile_steps(uniform_steps_, 0, 1, uniforms_, 0);
}

void TileFrame::copy_uniforms(std::byte* to) const { std::memcpy(to, uniforms_, program_->uniform_bytes()); }

void TileFrame::repeat(size_t source) {
  TileSlot& slot = slots_[program_->source_values_[source]];
  (slot.base_mask != 0 ? slot.base_mask : slot.source_mask) = kTileChunk - 1;
}

void TileFrame::run_rows(int64_t rows, const std::byte* uniforms, void* out) {
  const TileSlot result = slots_[program_->result_];
  if (tile_count_ > 0) {
    run_chunks(0, rows * kTileChunk, uniforms, program_->uniform_bytes(), static_cast<std::byte*>(out));
    return;
  }
  for (int64_t r = 0; r < rows; ++r, uniforms += program_->uniform_bytes()) {
    auto* row = static_cast<float*>(out) + r * kTileChunk;
    if (uniform_result_) {
      float value;
      std::memcpy(&value, uniforms + result.uniform_at, 4);
      std::fill_n(row, kTileChunk, value);
    } else {
      std::memmove(
          row, reinterpret_cast<const float*>(result.data) + (static_cast<uint64_t>(r * kTileChunk) & result.base_mask),
          kChunkBytes);
    }
  }
}

void TileFrame::set_contiguous(size_t source, const void* elements) {
  const auto* data = static_cast<const std::byte*>(elements);
  TileSlot& slot = slots_[program_->source_values_[source]];
  source_data_[source] = data;
  (program_->sources_[source].type == Element::bool8 ? slot.bytes : slot.data) = data;
}

void TileFrame::set_iota(size_t source, int32_t first) { slots_[program_->source_values_[source]].first = first; }

// Vectors may not read past the end of the caller's elements, so a run shorter than one is moved to the edge
// blocks.
void TileFrame::point_at_edges(int64_t n) {
  for (size_t s = 0; s < program_->sources_.size(); ++s) {
    if (shapes_[s] != TileShape::contiguous) continue;
    const bool bytes = program_->sources_[s].type == Element::bool8;
    TileSlot& slot = slots_[program_->source_values_[s]];
    std::byte* edge = edges_ + s * kChunkBytes;
    std::memset(edge, 0, kChunkBytes);
    std::memcpy(edge, source_data_[s], static_cast<size_t>(n) * (bytes ? 1 : 4));
    (bytes ? slot.bytes : slot.data) = edge;
  }
}

void TileFrame::point_back() {
  for (size_t s = 0; s < program_->sources_.size(); ++s) {
    if (shapes_[s] != TileShape::contiguous) continue;
    TileSlot& slot = slots_[program_->source_values_[s]];
    (program_->sources_[s].type == Element::bool8 ? slot.bytes : slot.data) = source_data_[s];
  }
}

void TileFrame::run(int64_t n, void* out) {
  if (n <= 0) return;
  const TileProgram& program = *program_;
  const TileSlot result = slots_[program.result_];
  const bool bools = program.type_ == Element::bool8;
  if (uniform_result_) {
    int32_t bits;
    std::memcpy(&bits, uniforms_ + result.uniform_at, 4);
    if (bools) {
      std::memset(out, bits != 0, static_cast<size_t>(n));
    } else {
      std::fill_n(static_cast<int32_t*>(out), n, bits);
    }
    return;
  }
  const bool copies = result.base_mask != 0;  // the program is one contiguous source
  if (copies) {
    if (result.data != out) std::memmove(out, result.data, static_cast<size_t>(n) * 4);
    return;
  }
  auto* bytes = static_cast<std::byte*>(out);
  const int64_t whole = n / kTileChunk * kTileChunk;
  if (bools) {
    for (int64_t base = 0; base < whole; base += kTile) {
      const int64_t count = std::min(kTile, whole - base);
      run_chunks(base, count, uniforms_, 0, result_);
      store_tile_bools(result_, count, bytes + base);
    }
  } else {
    run_chunks(0, whole, uniforms_, 0, bytes);
  }
  const int64_t rest = n - whole;
  if (rest > 0) {
    const std::byte* last = run_last(n);
    if (bools) store_tile_bools(last, rest, bytes + whole);
    else std::memcpy(bytes + 4 * whole, last, static_cast<size_t>(rest) * 4);
  }
}

void TileFrame::add_move(const TileMove& move) { new (&moves_[move_count_++]) TileMove(move); }

void TileFrame::move_contiguous(size_t source, int64_t bytes) {
  if (bytes == 0) return;
  using Does = TileMove::Does;
  const bool flags = program_->sources_[source].type == Element::bool8;
  add_move(
      {.does = flags ? Does::bytes : Does::elements, .slot = &slots_[program_->source_values_[source]], .step = bytes});
}

void TileFrame::move_uniform(size_t source, const void* value, int64_t bytes) {
  if (bytes == 0) return;
  using Does = TileMove::Does;
  const bool flags = program_->sources_[source].type == Element::bool8;
  add_move({.does = flags ? Does::flag : Does::value,
            .slot = &slots_[program_->source_values_[source]],
            .from = static_cast<const std::byte*>(value),
            .step = bytes});
  uniforms_move_ = true;
}

void TileFrame::move_count(size_t source) {
  add_move({.does = TileMove::Does::count, .slot = &slots_[program_->source_values_[source]]});
  uniforms_move_ = true;
}

bool TileFrame::is_source(const void* out) const {
  for (size_t s = 0; s < program_->sources_.size(); ++s) {
    if (shapes_[s] == TileShape::contiguous && source_data_[s] == out) return true;
  }
  return false;
}

void TileFrame::run_box(int64_t rows, int64_t n, void* out, int64_t out_bytes) {
  if (rows > 0 && n > 0) {
    // An overlapping chunk would read what the one before has replaced.
    const bool fits = n % kTileChunk == 0 || (n > kTileChunk && !is_source(out));
    auto* row = static_cast<std::byte*>(out);
    if (fits && tile_count_ > 0 && !uniform_result_ && program_->type_ != Element::bool8) {
      TileSlot& target = slots_[program_->result_];
      const TileSlot result = target;
      target.data = row;
      target.base_mask = kAll;
      run_tile_box({.steps = steps_,
                    .uniform_steps = uniforms_move_ && uniform_count_ > 0 ? uniform_steps_ : nullptr,
                    .uniforms = uniforms_,
                    .moves = {moves_, move_count_},
                    .result = &target,
                    .result_step = out_bytes,
                    .rows = rows,
                    .n = n});
      target = result;
    } else {
      run(n, row);
      for (int64_t r = 1; r < rows; ++r) {
        go_on();
        run(n, row += out_bytes);
      }
    }
  }
  move_count_ = 0;
  uniforms_move_ = false;
}

// To the next row of a box.
void TileFrame::go_on() {
  for (uint32_t i = 0; i < move_count_; ++i) weft::go_on(moves_[i], uniforms_);
  for (size_t s = 0; s < program_->sources_.size(); ++s) {
    if (shapes_[s] != TileShape::contiguous) continue;
    const TileSlot& slot = slots_[program_->source_values_[s]];
    source_data_[s] = program_->sources_[s].type == Element::bool8 ? slot.bytes : slot.data;
  }
  if (uniforms_move_) run_uniform();
}

// Elements [base, base + n) to `out`; n is a multiple of kTileChunk.
void TileFrame::run_chunks(int64_t base, int64_t n, const std::byte* uniforms, size_t uniform_step, std::byte* out) {
  TileSlot& target = slots_[program_->result_];
  const TileSlot result = target;
  target.data = out - 4 * base;
  target.base_mask = kAll;
  run_tile_steps(steps_, base, n, uniforms, uniform_step);
  target = result;
}

// The elements of n beyond whole chunks. Their chunk overlaps what is already done, or moves to the edge blocks where
// there is no chunk before.
const std::byte* TileFrame::run_last(int64_t n) {
  std::byte* edge = edges_ + program_->sources_.size() * kChunkBytes;
  const int64_t rest = n % kTileChunk;
  if (n > rest) {
    run_chunks(n - kTileChunk, kTileChunk, uniforms_, 0, edge);
    return edge + 4 * (kTileChunk - rest);
  }
  point_at_edges(n);
  run_chunks(0, kTileChunk, uniforms_, 0, edge);
  point_back();
  return edge;
}

void TileFrame::reduce(int64_t n, TileReduction& reduction) {
  if (n <= 0) return;
  const TileProgram& program = *program_;
  // Uniform values as vectors.
  alignas(64) float equal[2][kTileLanes];
  const auto in_memory = [&](size_t v, float* lanes) {
    TileSlot slot = slots_[v];
    if (!slot.is_uniform()) return slot;
    float value;
    std::memcpy(&value, uniforms_ + slot.uniform_at, 4);
    std::fill_n(lanes, kTileLanes, value);
    slot.data = reinterpret_cast<const std::byte*>(lanes);
    return slot;
  };
  if (tile_count_ == 0) {  // the value is there
    reduce_tile(in_memory(program.result_, equal[0]), nullptr, program.type_, 0, n, reduction);
    return;
  }
  const bool sums = reduction.op == ReduceOp::sum || reduction.op == ReduceOp::mean;
  if (sums && tile_count_ == 1) {  // a product of what is there is summed as it is computed
    const TileProgram::Operation& op = program.operations_[order_[program.operations_.size()]];
    if (op.op == TileProgram::Op::scalar && op.scalar == ScalarOp::mul && op.type == Element::f32) {
      const TileSlot factor = in_memory(op.b, equal[1]);
      reduce_tile(in_memory(op.a, equal[0]), &factor, program.type_, 0, n, reduction);
      return;
    }
  }
  const TileSlot computed{.data = result_, .lane_mask = kAll};
  const int64_t whole = n / kTileChunk * kTileChunk;
  for (int64_t base = 0; base < whole; base += kTile) {
    const int64_t count = std::min(kTile, whole - base);
    run_chunks(base, count, uniforms_, 0, result_);
    reduce_tile(computed, nullptr, program.type_, 0, count, reduction);
  }
  if (n > whole) {
    const TileSlot last{.data = run_last(n), .lane_mask = kAll};
    reduce_tile(last, nullptr, program.type_, 0, n - whole, reduction);
  }
}

}  // namespace weft
