// compare() of ops/harness/case.h.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "ops/harness/case.h"
#include "ops/harness/reference.h"

namespace weft {
namespace {

struct Allowed {
  const Tolerance& tolerance;

  // By how much two elements differ, as a multiple of what is allowed.
  double excess(double a, double b, double step = 0) const {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : HUGE_VAL;
    if (a == b) return 0;
    if (std::isinf(a) || std::isinf(b)) return HUGE_VAL;
    return std::fabs(a - b) / (tolerance.absolute * tolerance.magnitude + tolerance.relative * std::fabs(b) + step);
  }
};

template <class T>
T element(const std::vector<std::byte>& bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

// "out[pos 2, embed 7]" of element `index`.
std::string place(const StepCase& step_case, ValueId value, size_t index) {
  const ValueRecord& record = step_case.graph.values[value];
  std::string text;
  auto rest = static_cast<int64_t>(index);
  for (size_t i = record.axes.size(); i-- > 0;) {
    const std::string& axis = step_case.graph.axes[record.axes[i]].name;
    const int64_t extent = step_case.extents[record.axes[i]];
    const bool slot = extent < 0;  // the key axis of a cache
    text =
        (slot ? "slot" : axis) + " " + std::to_string(slot ? rest : rest % extent) + (text.empty() ? "" : ", ") + text;
    if (!slot) rest /= extent;
  }
  return "'" + record.name + "'[" + text + "]";
}

// By how much elements of a stored format may differ besides: one step, and what the scales of two blocks may differ.
std::vector<double> steps_of(Format format, const std::vector<float>& decoded) {
  std::vector<double> steps;
  const size_t block = info(format).block_elements;
  for (size_t i = 0; i < decoded.size(); ++i) {
    const double x = std::isfinite(decoded[i]) ? std::fabs(decoded[i]) : 0;
    if (format == Format::f16) steps.push_back(std::max(x * 0x1p-10, 0x1p-24));
    else if (format == Format::bf16) steps.push_back(x * 0x1p-7);
    else if (i % block != 0) steps.push_back(steps.back());
    else {
      float largest = 0;
      for (size_t j = i; j < i + block; ++j) largest = std::max(largest, std::fabs(decoded[j]));
      steps.push_back(largest * 1.2 / 127);
    }
  }
  return steps;
}

std::vector<float> decoded(Format format, const std::vector<std::byte>& bytes) {
  std::vector<float> floats(bytes.size() / info(format).block_bytes * info(format).block_elements);
  decode_row(format, bytes.data(), floats.size(), floats.data());
  return floats;
}

// How far the candidates chosen by two ids of a selection lie apart.
double id_excess(const StepCase& step_case, const std::vector<double>& candidates, size_t index, int32_t a, int32_t b,
                 const Allowed& allowed) {
  const Region& region = step_case.step().regions.front();
  const Selection& selection = *region.selection;
  const ValueRecord& ids = step_case.graph.values[step_case.step().outputs.back()];
  std::vector<int64_t> coordinate(step_case.extents.size(), 0);
  auto rest = static_cast<int64_t>(index);
  for (size_t i = ids.axes.size(); i-- > 0;) {
    coordinate[ids.axes[i]] = rest % step_case.extents[ids.axes[i]];
    rest /= step_case.extents[ids.axes[i]];
  }
  const auto candidate = [&](int32_t id) {
    coordinate[selection.axis] = id;
    size_t at = 0;
    for (const AxisId axis : region.axes) {
      at = at * static_cast<size_t>(step_case.extents[axis]) + static_cast<size_t>(coordinate[axis]);
    }
    return candidates[at];
  };
  const int64_t extent = step_case.extents[selection.axis];
  if (a < 0 || a >= extent || b < 0 || b >= extent) return HUGE_VAL;
  return allowed.excess(candidate(a), candidate(b));
}

}  // namespace

std::string compare(const StepCase& step_case, const Outputs& a, const Outputs& b, const Tolerance& tolerance) {
  const Allowed allowed{tolerance};
  const std::vector<ValueId> written = step_case.written();
  const Region& region = step_case.step().regions.front();
  std::vector<double> candidates;  // of the selection, when ids differ
  double worst = 1;
  size_t differences = 0;
  std::string message;
  for (size_t w = 0; w < written.size(); ++w) {
    const ValueRecord& record = step_case.graph.values[written[w]];
    if (a[w].size() != b[w].size()) return "'" + record.name + "': sizes differ";
    const bool selected = region.selection.has_value() && w + 1 == written.size();
    const bool is_stored = record.element() == Element::f32 && record.format != Format::f32;
    std::vector<float> floats_a, floats_b;
    std::vector<double> steps;
    if (is_stored) {
      floats_a = decoded(record.format, a[w]), floats_b = decoded(record.format, b[w]);
      steps = steps_of(record.format, floats_b);
    }
    const size_t elements = is_stored ? floats_a.size() : a[w].size() / row_bytes(record.format, 1);
    for (size_t i = 0; i < elements; ++i) {
      double x, y, excess;
      if (is_stored) {
        x = floats_a[i];
        y = floats_b[i];
        excess = allowed.excess(x, y, steps[i]);
      } else if (record.format == Format::f32) {
        x = element<float>(a[w], i);
        y = element<float>(b[w], i);
        excess = allowed.excess(x, y);
      } else if (record.format == Format::i32) {
        x = element<int32_t>(a[w], i);
        y = element<int32_t>(b[w], i);
        excess = x == y ? 0 : HUGE_VAL;
        if (excess != 0 && selected) {
          if (candidates.empty()) candidates = selection_candidates(step_case);
          excess = id_excess(step_case, candidates, i, static_cast<int32_t>(x), static_cast<int32_t>(y), allowed);
        }
      } else {
        x = element<uint8_t>(a[w], i);
        y = element<uint8_t>(b[w], i);
        excess = x == y ? 0 : HUGE_VAL;
      }
      if (!(excess > 1)) continue;
      ++differences;
      if (message.empty() || excess > worst) {
        worst = excess;
        message = place(step_case, written[w], i) + ": " + number(x) + ", expected " + number(y) + " (" +
                  number(excess) + " times what is allowed)";
      }
    }
  }
  if (message.empty()) return "";
  return "case '" + step_case.name() + "': " + std::to_string(differences) + " elements differ, the largest at " +
         message;
}

}  // namespace weft
