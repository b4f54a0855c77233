#include "ops/kernel_row.h"

#include "core/comma_list.h"

namespace weft {

bool ProductRow::takes(Format format) const {
  return std::find(formats.begin(), formats.end(), format) != formats.end();
}

void check_row(const ProductRow& row) {
  const auto refuse = [&](const std::string& why) { throw Error("kernel '" + row.name + "': " + why); };
  if (row.formats.empty()) refuse("it names no format");
  for (const Format format : row.formats) {
    if (!info(format).is_float) refuse("it names " + std::string(name(format)) + ", which holds no floats");
    if (is_in_int8(row.activations.element) && info(format).block_elements % 32 != 0) {
      refuse("blocks of 32 int8 activations do not divide rows of " + std::string(name(format)));
    }
    if (!row.layout.is_stored() && !Interleaved::exists(format, row.layout)) {
      refuse("format " + std::string(name(format)) + " has no layout " + name(row.layout));
    }
  }
  if (row.first_rows < 1 || row.last_rows < row.first_rows) refuse("it is for no number of rows");
  if (row.activations.tile < 1 || row.activations.tile > kMostTileRows) {
    refuse("its tiles have " + std::to_string(row.activations.tile) + " rows: there may be 1 to " +
           std::to_string(kMostTileRows));
  }
}

std::string cannot_serve(const ProductRow& row, Precision precision) {
  std::vector<std::string_view> formats;
  for (const Format format : row.formats) formats.push_back(name(format));
  std::string text = "kernel '" + row.name + "' can serve no step of this graph: it multiplies " + comma_list(formats) +
                     " weights in layout " + name(row.layout);
  if (!row.serves(precision)) text += " with precision fast";
  return text;
}

namespace kernel_rows {

std::vector<Range> ranges(std::span<const ProductRow* const> rows) {
  std::vector<Range> result;
  for (int64_t first = 1;;) {
    const auto best = std::find_if(rows.begin(), rows.end(), [&](const ProductRow* row) {
      return row->first_rows <= first && first <= row->last_rows;
    });
    if (best == rows.end()) return result;
    // Up to where a preferred one begins.
    int64_t last = (*best)->last_rows;
    for (auto preferred = rows.begin(); preferred != best; ++preferred) {
      if ((*preferred)->first_rows > first) last = std::min(last, (*preferred)->first_rows - 1);
    }
    const auto index = static_cast<size_t>(best - rows.begin());
    if (!result.empty() && result.back().row == index) result.back().last_rows = last;
    else result.push_back({last, index});
    if (last == kAnyRows) return result;
    first = last + 1;
  }
}

void refuse(int64_t rows, Format format, const Layout& layout, Precision precision) {
  throw Error("no kernel computes products of " + std::to_string(rows) + " rows with " + std::string(name(format)) +
              " in layout " + name(layout) + ", precision " + std::string(name(precision)));
}

}  // namespace kernel_rows

void add_kernel(std::vector<KernelRange>& all, const KernelRange& kernel) {
  if (std::find(all.begin(), all.end(), kernel) == all.end()) all.push_back(kernel);
}

std::string kernel_text(std::span<const KernelRange> kernels) {
  std::vector<std::string> parts;  // what computes no products, or the products with one weight
  for (const KernelRange& kernel : kernels) {
    std::string text = kernel.name;
    if (kernel.last_rows != kAnyRows) text += " \u2264" + std::to_string(kernel.last_rows);
    if (kernel.first_rows > 1) {
      parts.back() += ", " + text;
    } else if (kernel.right != kNoValue) {
      const std::string layout = kernel.layout.is_stored() ? "" : " " + name(kernel.layout);
      parts.push_back(std::string(name(kernel.format)) + layout + ": " + text);
    } else {
      parts.push_back(text);
    }
  }
  std::string text;
  for (auto part = parts.begin(); part != parts.end(); ++part) {
    if (std::find(parts.begin(), part, *part) == part) text += (text.empty() ? "" : "; ") + *part;
  }
  return text;
}

}  // namespace weft
