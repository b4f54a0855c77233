#include "ops/cpu/group_rows.h"

#include <algorithm>

#include "core/align.h"

namespace weft {

std::optional<size_t> GroupRows::list_of(const ContractionRef& contraction) const {
  for (size_t i = 0; i < equal_.size(); ++i) {
    if (std::find(equal_[i].begin(), equal_[i].end(), contraction) != equal_[i].end()) return i;
  }
  return std::nullopt;
}

RowsPlace GroupRows::place(const RowsUse& use, size_t bytes, size_t own_bytes) {
  for (const auto& [known, place] : places_) {
    if (known == use) return {place.at, place.own_at, true, false};
  }
  const RowsPlace place{bytes_, own_bytes_, true, true};
  bytes_ += align_up(bytes);
  own_bytes_ += align_up(own_bytes);
  places_.emplace_back(use, place);
  return place;
}

}  // namespace weft
