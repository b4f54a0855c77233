// How many threads an adaptive team uses: by what others run, and by the times of runs.
#include "runtime/plan/team_size.h"

#include <gtest/gtest.h>

#include <map>

namespace weft {
namespace {

constexpr uint64_t kDecode = 1, kPrefill = 2;

// Runs `count` times; what one thread and a team take. Returns how often each number of threads was chosen.
std::map<int, int> run(TeamSize& team, int count, double single, double several, uint64_t kind = kDecode) {
  std::map<int, int> chosen;
  for (int i = 0; i < count; ++i) {
    const int threads = team.next(kind);
    ++chosen[threads];
    team.ran(threads == 1 ? single : several);
  }
  return chosen;
}

TEST(TeamSize, TakesTheTeamWhereItIsFaster) {
  TeamSize team(2, 2);
  EXPECT_EQ(team.next(kDecode), 2);  // a prompt runs once: with all threads
  const auto chosen = run(team, 1000, 180e-6, 120e-6);
  EXPECT_GE(chosen.at(2), 980);
}

TEST(TeamSize, TakesOneThreadWhereThatIsFaster) {
  TeamSize team(4, 4);
  const auto chosen = run(team, 1000, 180e-6, 250e-6);
  EXPECT_GE(chosen.at(1), 980);
  EXPECT_GE(chosen.at(4), 3);  // and looks again
}

TEST(TeamSize, NoticesWhenTheOtherBecomesFaster) {
  TeamSize team(2, 2);
  run(team, 500, 180e-6, 250e-6);
  run(team, 1024, 180e-6, 120e-6);
  EXPECT_GE(run(team, 100, 180e-6, 120e-6)[2], 95);
}

TEST(TeamSize, LeavesATeamThatIsHeldUpAtOnce) {
  TeamSize team(2, 2);
  run(team, 10, 180e-6, 120e-6);
  ASSERT_EQ(team.next(kDecode), 2);
  team.ran(4e-3);  // some thread had to wait for its CPU
  EXPECT_EQ(run(team, 32, 180e-6, 120e-6).count(2), 0u);
}

TEST(TeamSize, SpendsNoLongRunOnATrial) {
  TeamSize team(2, 2);
  EXPECT_EQ(run(team, 100, 0.5, 0.25).count(1), 0u);
}

TEST(TeamSize, LeavesACpuToEachTaskThatIsReady) {
  TeamSize team(8, 8);
  team.saw_ready(3, true);
  EXPECT_EQ(team.next(kPrefill), 5);
  team.ran(1);
  team.saw_ready(100, true);
  EXPECT_EQ(team.next(kPrefill), 1);
  team.ran(1);
  team.saw_ready(0);  // they are gone
  EXPECT_EQ(team.next(kPrefill), 8);
}

TEST(TeamSize, OneReadingMayBeChance) {
  TeamSize team(2, 2);
  for (int i = 0; i < 10; ++i) {
    team.saw_ready(1);
    EXPECT_EQ(team.next(kPrefill), 2);
    team.ran(1);
    team.saw_ready(0);
  }
  team.saw_ready(1);
  team.saw_ready(1);
  EXPECT_EQ(team.next(kPrefill), 1);
}

TEST(TeamSize, OthersOnOtherCpusDoNotCount) {
  TeamSize team(2, 64);  // two CPUs of many
  team.saw_ready(40, true);
  EXPECT_EQ(team.next(kPrefill), 2);
  team.saw_ready(-3, true);  // of this team one thread was asleep
  EXPECT_EQ(team.next(kPrefill), 2);
}

TEST(TeamSize, MoreThreadsThanCpusAreNeverWanted) {
  TeamSize team(64, 2);
  team.saw_ready(0);
  EXPECT_LE(team.next(kDecode), 2);
}

}  // namespace
}  // namespace weft
