// The one exception type that Weft throws.
#pragma once

#include <stdexcept>
#include <string>

namespace weft {

// What a caller can act on: a bad file, a bad request, extents that disagree, a device that is missing.
// The message names the thing at fault (file, tensor, byte, field, axis); it ends without a newline.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace weft
