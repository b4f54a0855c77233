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

constexpr size_t kBlockBytes = kTileLanes * 4;
constexpr size_t kRegisterBytes = kTile * 4;
constexpr int64_t kWholeRun = std::numeric_limits<int64_t>::max() / 8;
constexpr uint64_t kAll = ~uint64_t{0};

void fill_block(std::byte* block, int32_t bits) {
  for (size_t i = 0; i < kTileLanes; ++i) std::memcpy(block + 4 * i, &bits, 4);
}

bool reads(ScalarOp op, int argument) { return argument < argument_count(op); }

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

// Values are the instructions that the result needs, in their order; some end up inside a fused operation and get
// no value slot.
void TileProgram::add_operations(const ScalarProgram& program) {
  const std::vector<ScalarInstr>& code = program.code;
  std::vector<int> uses(code.size(), 0);
  uses.back() = 1;
  for (size_t i = code.size(); i-- > 0;) {
    if (uses[i] == 0) continue;
    const uint16_t arguments[] = {code[i].a, code[i].b, code[i].c};
    for (int j = 0; reads(code[i].op, j); ++j) ++uses[arguments[j]];
  }

  const auto is_f32 = [&](size_t i, ScalarOp op) { return code[i].op == op && code[i].type == Element::f32; };
  // What instruction i is computed as; a fused argument that has no other use is not computed.
  struct Shape {
    Op op;
    uint16_t a, b, c;
  };
  std::vector<Shape> shapes(code.size());
  for (size_t i = 0; i < code.size(); ++i) {
    shapes[i] = {Op::scalar, code[i].a, code[i].b, code[i].c};
    if (uses[i] == 0 || !is_f32(i, ScalarOp::mul)) continue;
    const uint16_t pairs[2][2] = {{code[i].a, code[i].b}, {code[i].b, code[i].a}};
    for (const auto& [x, y] : pairs) {
      if (is_f32(y, ScalarOp::sigmoid) && code[y].a == x && uses[y] == 1) {
        shapes[i] = {Op::silu, x, 0, 0};
        uses[y] = 0;
        --uses[x];
        break;
      }
      if (uses[x] != 1 || x == y) continue;
      if (shapes[x].op == Op::silu) {
        shapes[i] = {Op::silu_mul, shapes[x].a, y, 0};
      } else if (shapes[x].op == Op::scalar && is_f32(x, ScalarOp::mul)) {
        shapes[i] = {Op::mul_mul, shapes[x].a, shapes[x].b, y};
      } else {
        continue;
      }
      uses[x] = 0;
      break;
    }
  }

  std::vector<uint16_t> value_of(code.size(), 0);
  for (size_t i = 0; i < code.size(); ++i) {
    if (uses[i] == 0) continue;
    const ScalarInstr& instr = code[i];
    const auto value = static_cast<uint16_t>(values_.size());
    value_of[i] = value;
    ValueInfo info{.type = instr.type};
    if (instr.op == ScalarOp::constant) {
      info.is_constant = true;
      info.bits = instr.type == Element::f32   ? std::bit_cast<int32_t>(instr.imm_f)
                  : instr.type == Element::i32 ? instr.imm
                                               : -static_cast<int32_t>(instr.imm != 0);
    } else if (argument_count(instr.op) == 0) {
      const auto same = std::find(sources_.begin(), sources_.end(), instr);
      if (same != sources_.end()) {
        value_of[i] = source_values_[static_cast<size_t>(same - sources_.begin())];
        continue;
      }
      info.source = static_cast<int>(sources_.size());
      sources_.push_back(instr);
      source_values_.push_back(value);
      if (instr.type != Element::f32) {
        const Op op = instr.type == Element::i32 ? Op::iota : Op::load_bool;
        operations_.push_back({op, instr.op, instr.type, instr.type, value, value, value, value});
      }
    } else {
      const Shape& s = shapes[i];
      Operation operation{s.op, instr.op, code[s.a].type, instr.type, value, value_of[s.a], 0, 0};
      operation.b = operation.c = operation.a;
      const bool binary = s.op == Op::scalar ? reads(instr.op, 1) : s.op != Op::silu;
      if (binary) operation.b = value_of[s.b];
      if (s.op == Op::mul_mul || (s.op == Op::scalar && reads(instr.op, 2))) operation.c = value_of[s.c];
      operations_.push_back(operation);
    }
    values_.push_back(info);
  }
  result_ = value_of.back();
}

void TileProgram::allocate_registers() {
  std::vector<size_t> last_use(values_.size(), 0);
  for (size_t i = 0; i < operations_.size(); ++i) {
    for (const uint16_t v : {operations_[i].a, operations_[i].b, operations_[i].c, operations_[i].out}) last_use[v] = i;
  }
  last_use[result_] = operations_.size();
  std::vector<int> free;
  for (size_t i = 0; i < operations_.size(); ++i) {
    // An operation reads an element of its arguments before it writes that of its result, so they may share.
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
  reserve(source_data_at_, sources_.size() * sizeof(void*));
  reserve(slots_at_, values_.size() * sizeof(TileSlot));
  reserve(orders_at_, 2 * operations_.size() * sizeof(uint16_t));
  reserve(uniforms_at_, values_.size() * kBlockBytes);
  reserve(registers_at_, static_cast<size_t>(register_count_) * kRegisterBytes);
  reserve(edges_at_, (sources_.size() + 1) * kBlockBytes);
  frame_bytes_ = at;
}

TileFrame* TileProgram::make_frame(std::byte* memory) const {
  TileFrame* frame = new (memory) TileFrame;
  frame->program_ = this;
  frame->shapes_ = reinterpret_cast<TileShape*>(memory + shapes_at_);
  frame->source_data_ = reinterpret_cast<const std::byte**>(memory + source_data_at_);
  frame->slots_ = reinterpret_cast<TileSlot*>(memory + slots_at_);
  frame->tile_order_ = reinterpret_cast<uint16_t*>(memory + orders_at_);
  frame->uniform_order_ = frame->tile_order_ + operations_.size();
  frame->uniforms_ = memory + uniforms_at_;
  frame->registers_ = memory + registers_at_;
  frame->edges_ = memory + edges_at_;
  for (size_t v = 0; v < values_.size(); ++v) {
    new (&frame->slots_[v]) TileSlot;
    if (values_[v].is_constant) fill_block(frame->uniforms_ + v * kBlockBytes, values_[v].bits);
  }
  return frame;
}

void TileFrame::start() {
  const TileProgram& program = *program_;
  for (size_t v = 0; v < program.values_.size(); ++v) {
    const TileProgram::ValueInfo& info = program.values_[v];
    if (info.is_constant) {
      slots_[v] = {uniforms_ + v * kBlockBytes, 0, 0};
    } else if (info.source >= 0) {
      const TileShape shape = shapes_[info.source];
      if (shape == TileShape::uniform) {
        slots_[v] = {uniforms_ + v * kBlockBytes, 0, 0};
      } else if (shape == TileShape::iota || info.type == Element::bool8) {
        slots_[v] = {registers_ + static_cast<size_t>(info.tile_register) * kRegisterBytes, kAll, 0};
      } else {
        slots_[v] = {nullptr, kAll, kAll};
      }
    }
  }
  tile_count_ = uniform_count_ = 0;
  bool in_registers = false;
  for (size_t i = 0; i < program.operations_.size(); ++i) {
    const TileProgram::Operation& op = program.operations_[i];
    if (op.op == TileProgram::Op::iota || op.op == TileProgram::Op::load_bool) {
      const TileShape shape = shapes_[program.values_[op.out].source];
      const TileShape loaded = op.op == TileProgram::Op::iota ? TileShape::iota : TileShape::contiguous;
      if (shape == loaded) {
        tile_order_[tile_count_++] = static_cast<uint16_t>(i);
        in_registers = true;
      }
      continue;
    }
    const bool uniform = (slots_[op.a].lane_mask | slots_[op.b].lane_mask | slots_[op.c].lane_mask) == 0;
    if (uniform) {
      slots_[op.out] = {uniforms_ + op.out * kBlockBytes, 0, 0};
      uniform_order_[uniform_count_++] = static_cast<uint16_t>(i);
    } else {
      const int tile_register = program.values_[op.out].tile_register;
      slots_[op.out] = {registers_ + static_cast<size_t>(tile_register) * kRegisterBytes, kAll, 0};
      tile_order_[tile_count_++] = static_cast<uint16_t>(i);
      if (op.out != program.result_ || op.type == Element::bool8) in_registers = true;
    }
  }
  uniform_result_ = slots_[program.result_].lane_mask == 0;
  chunk_ = in_registers ? kTile : kWholeRun;
}

void TileFrame::set_uniform(size_t source, const void* value) {
  const uint16_t v = program_->source_values_[source];
  int32_t bits;
  if (program_->values_[v].type == Element::bool8) {
    bits = -static_cast<int32_t>(*static_cast<const uint8_t*>(value) != 0);
  } else {
    std::memcpy(&bits, value, 4);
  }
  fill_block(uniforms_ + v * kBlockBytes, bits);
}

void TileFrame::run_uniform() {
  if (uniform_count_ > 0) {
    run_tile_operations(program_->operations_.data(), uniform_order_, uniform_count_, slots_, 0, kTileLanes);
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
    std::byte* edge = edges_ + s * kBlockBytes;
    std::memset(edge, 0, kBlockBytes);
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
    std::memcpy(&bits, result.data, 4);
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
  const auto run_operations = [&](int64_t base, int64_t count) {
    run_tile_operations(program.operations_.data(), tile_order_, tile_count_, slots_, base, count);
  };
  TileSlot& target = slots_[program.result_];

  const int64_t whole = n / kTileLanes * kTileLanes;
  if (!bools) {
    target.data = bytes;
    target.base_mask = kAll;
  }
  for (int64_t base = 0; base < whole; base += chunk_) {
    const int64_t count = std::min(chunk_, whole - base);
    run_operations(base, count);
    if (bools) store_tile_bools(target.data, count, bytes + base);
  }
  const int64_t rest = n - whole;
  if (rest > 0) {
    // The last block: it overlaps what is already done, or moves to the edge blocks where there is no block
    // before.
    std::byte* edge = edges_ + program.sources_.size() * kBlockBytes;
    const int64_t skip = whole > 0 ? kTileLanes - rest : 0;
    if (whole == 0) point_at_edges(n);
    if (!bools) {
      target.data = edge;
      target.base_mask = 0;
    }
    run_operations(whole > 0 ? n - kTileLanes : 0, kTileLanes);
    if (bools) {
      store_tile_bools(target.data + 4 * skip, rest, bytes + whole);
    } else {
      std::memcpy(bytes + 4 * whole, edge + 4 * skip, static_cast<size_t>(rest) * 4);
    }
    if (whole == 0) point_back();
  }
  target = result;
}

void TileFrame::reduce(int64_t n, TileReduction& reduction) {
  if (n <= 0) return;
  const TileProgram& program = *program_;
  const bool sums = reduction.op == ReduceOp::sum || reduction.op == ReduceOp::mean;
  // A product is summed as it is computed.
  uint32_t count = uniform_result_ ? 0 : tile_count_;
  const TileSlot* value = &slots_[program.result_];
  const TileSlot* factor = nullptr;
  if (sums && count > 0) {
    const TileProgram::Operation& last = program.operations_[tile_order_[count - 1]];
    if (last.out == program.result_ && last.op == TileProgram::Op::scalar && last.scalar == ScalarOp::mul &&
        last.type == Element::f32) {
      value = &slots_[last.a];
      factor = &slots_[last.b];
      --count;
    }
  }
  const auto run_operations = [&](int64_t base, int64_t elements) {
    if (count > 0) run_tile_operations(program.operations_.data(), tile_order_, count, slots_, base, elements);
  };
  const int64_t whole = n / kTileLanes * kTileLanes;
  const int64_t chunk = count > 0 ? kTile : kWholeRun;
  for (int64_t base = 0; base < whole; base += chunk) {
    const int64_t elements = std::min(chunk, whole - base);
    run_operations(base, elements);
    reduce_tile(*value, factor, program.type_, base, elements, reduction);
  }
  const int64_t rest = n - whole;
  if (rest > 0) {
    const int64_t skip = whole > 0 ? kTileLanes - rest : 0;
    if (whole == 0) point_at_edges(n);
    const int64_t base = whole > 0 ? n - kTileLanes : 0;
    run_operations(base, kTileLanes);
    const auto skipped = [&](TileSlot slot) {
      slot.data += 4 * (static_cast<uint64_t>(skip) & slot.lane_mask);
      return slot;
    };
    const TileSlot last_value = skipped(*value);
    const TileSlot last_factor = factor ? skipped(*factor) : TileSlot{};
    reduce_tile(last_value, factor ? &last_factor : nullptr, program.type_, base, rest, reduction);
    if (whole == 0) point_back();
  }
}

}  // namespace weft
