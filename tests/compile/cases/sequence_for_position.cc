// A learned position embedding looked up by which sequence a token is of.
// expect: at | wanted<int> | found<sequence_number>
#include "common.h"

struct Place : axis<"place"> {};

auto wrong_or_right(Weight<Place, Embed> places, const Batch& batch) {
#ifdef WRONG
  return materialize(at<Place>(places, batch.seq));
#else
  return materialize(at<Place>(places, batch.pos));
#endif
}
