// Rendering of step records to OpenCL C: scalar programs, views of operands, and what a kernel is called with.
//
// A rendered text depends on the structure of a record alone: which operands with which views and formats, which
// programs. Extents, strides and offsets are arguments, axes are numbered by their first use, so steps of one
// structure (the layers of a model) have one text, and one program.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/record/graph.h"
#include "gpu/device.h"
#include "ops/weight_layouts.h"

namespace weft {

// A place in device memory that a kernel reads or writes.
struct MemoryRef {
  enum class Kind : uint8_t {
    value,       // index: ValueId
    scratch,     // index: byte offset in the step's scratch
    pages,       // index: cache; its page table
    lengths,     // index: cache
    first_keys,  // index: cache
    constants    // index: into the step's constant buffers
  };
  Kind kind = Kind::value;
  size_t index = 0;
  bool operator==(const MemoryRef&) const = default;
};

using ParamFunction = std::function<int64_t(const GpuArgs&)>;

struct KernelParam {
  std::string name;
  ParamFunction value;
};

// Something that a kernel reads element by element: an operand, or an earlier kernel's result in scratch.
struct Leaf {
  MemoryRef memory;
  Format format = Format::f32;
  std::vector<ViewAxis> view;
  bool paged = false;                    // view[0] is the key axis of a cache: its coordinate is a slot
  const ChosenLayout* packed = nullptr;  // the layout of a weight that is not as stored
  std::string key;                       // unique within the step
};

// `layouts`: of the weights that are not as stored; may be null.
Leaf operand_leaf(const GraphRecord& graph, const Region& region, int operand, const WeightLayouts* layouts);
// A value of `axes` in scratch, contiguous.
Leaf scratch_leaf(size_t offset, Format format, const std::vector<AxisId>& axes);

// Where a kernel writes: `axes` in memory order. With `slots` (of an append), row r on axes[0] goes to slot
// slots[r], or nowhere if that is negative.
struct Target {
  MemoryRef memory;
  Format format = Format::f32;
  std::vector<AxisId> axes;
  ValueId slots = kNoValue;
};

// A piece of code under construction, with the names that are in scope.
struct CodeScope {
  std::string code;
  int indent = 2;
  std::map<AxisId, std::string> coordinate;  // int expressions
  std::string slot;                          // long expression: the key's slot, for paged leaves
  std::map<int32_t, std::string> contraction, reduction;
  std::string rotated;

  void line(const std::string& text);
  // The same names, no code.
  CodeScope inner(int more_indent) const;
};

// The arguments and names of one kernel while its text is written.
class KernelBuilder {
 public:
  KernelBuilder(const GraphRecord& graph, const Region* region, const WeightLayouts* layouts)
      : graph_(graph), region_(region), layouts_(layouts) {}

  // An expression for a long argument. Equal names are one argument.
  std::string param(const std::string& name, ParamFunction value);
  std::string memory(const MemoryRef& ref);  // `__global uchar*` at its first byte
  std::string extent(AxisId axis);           // int
  std::string temporary(const char* prefix);

  // Declares the coordinates on `axes` that the linear index `item` (uint) stands for, the last axis fastest.
  void coordinates(CodeScope& scope, const std::string& item, const std::vector<AxisId>& axes);

  struct Place {
    std::string offset;  // long: elements from the leaf's first byte
    std::string valid;   // "true", or false where an id is out of range
  };
  // Where the leaf's element at the scope's coordinates lies; on an axis that is looked up, at `looked_up` (int). View
  // axes without a coordinate in scope count as 0.
  Place place(CodeScope& scope, const Leaf& leaf, const std::string& looked_up = {});
  // The part of the offset that `axes` contribute (leaves without gathers only); with the base offset or without.
  std::string partial_offset(CodeScope& scope, const Leaf& leaf, const std::vector<AxisId>& axes, bool base);
  // Expressions for the extents of a packed leaf's matrices.
  std::string matrix_rows(const Leaf& leaf);
  std::string matrix_k(const Leaf& leaf);
  // Declares the leaf's element (float or int), and returns its name.
  std::string load(CodeScope& scope, const Leaf& leaf, const std::string& looked_up = {});

  // Declares the results of all instructions; returns the last one's name.
  std::string program(CodeScope& scope, const ScalarProgram& program);
  // Writes `value` (of the program's type) at the scope's coordinates.
  void store(CodeScope& scope, const Target& target, const std::string& value);

  const GraphRecord& graph() const { return graph_; }
  const Region& region() const { return *region_; }
  std::string arguments(const std::string& params_type, bool params_in_memory) const;
  std::string prologue(const std::string& params_type, bool params_in_memory) const;
  std::string params_struct(const std::string& params_type) const;
  std::vector<KernelParam> take_params() { return std::move(params_); }
  const std::vector<MemoryRef>& memory_refs() const { return memory_; }
  size_t argument_bytes() const { return params_.size() * 8 + memory_.size() * 8; }

 private:
  int axis_number(AxisId axis);
  std::string leaf_name(const Leaf& leaf);
  std::string stride(const Leaf& leaf, size_t view_axis);
  std::string term(const Leaf& leaf, size_t view_axis, const std::string& coordinate);
  std::string base(const Leaf& leaf);
  std::string instruction(CodeScope& scope, const ScalarProgram& program, const std::vector<std::string>& names,
                          const ScalarInstr& instr);

  const GraphRecord& graph_;
  const Region* region_;
  const WeightLayouts* layouts_;
  std::vector<KernelParam> params_;
  std::vector<MemoryRef> memory_;
  std::vector<AxisId> axes_;
  std::vector<std::string> leaves_;
  int temporaries_ = 0;
};

// "f32", "q8_0", "q8_0_x16" ...: as the functions of core/format/NAME/NAME.cl are named.
std::string format_suffix(Format format);
std::string format_suffix(const Leaf& leaf);
const char* c_type(Element element);  // "float" or "int"

}  // namespace weft
