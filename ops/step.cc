#include "ops/step.h"

namespace weft {

std::string_view name(Precision precision) { return precision == Precision::exact ? "exact" : "fast"; }

}  // namespace weft
