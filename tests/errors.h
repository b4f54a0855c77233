// Expecting errors.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace weft::test {

// The message of the weft::Error that `run` throws.
template <class F>
std::string error_of(F run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace weft::test

#define EXPECT_CONTAINS(text, part) EXPECT_PRED_FORMAT2(::testing::IsSubstring, part, text)
