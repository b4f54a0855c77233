#include "ops/scan/cases.h"
#include "tests/check_cases.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Scan, Cases) { check_cases(scan_cases()); }

TEST(Scan, Convolutions) { check_cases(convolution_cases()); }

}  // namespace
}  // namespace weft
