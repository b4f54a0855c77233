// Loops that a team shares: every item once, whoever is slow.
#include "ops/cpu/claims.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace weft {
namespace {

void pause(int64_t microseconds) { std::this_thread::sleep_for(std::chrono::microseconds(microseconds)); }

// Runs body(team) in each thread.
template <class Body>
void run_team(int threads, TeamClaims& claims, const Body& body) {
  TeamBarrier meeting(threads);
  claims.reset();
#pragma omp parallel num_threads(threads)
  {
    body(Team{omp_get_thread_num(), threads, &meeting, &claims});
  }
}

TEST(TeamClaims, EachItemIsDoneOnce) {
  TeamClaims claims(4);
  for (const int threads : {4, 1, 2, 3, 4}) {
    // More loops than the claims have places for, first without a meeting between them.
    for (const int loops_between : {1000, 7, 1}) {
      constexpr int kLoops = 100;
      const auto items = [](int loop) { return int64_t{loop * 7 % 11}; };
      std::vector<std::vector<std::atomic<int>>> done;
      for (int loop = 0; loop < kLoops; ++loop) done.emplace_back(static_cast<size_t>(items(loop)));
      run_team(threads, claims, [&](const Team& team) {
        for (int loop = 0; loop < kLoops; ++loop) {
          for_claimed(items(loop), team, [&](int64_t i) {
            if ((loop + i + team.thread) % 13 == 0) pause(50);
            ++done[static_cast<size_t>(loop)][static_cast<size_t>(i)];
          });
          if (loop % 17 == team.thread) pause(100);
          if (loop % loops_between == loops_between - 1) team.barrier();
        }
      });
      for (int loop = 0; loop < kLoops; ++loop) {
        for (const std::atomic<int>& count : done[static_cast<size_t>(loop)]) {
          EXPECT_EQ(count, 1) << threads << " threads, loop " << loop;
        }
      }
    }
  }
}

// A thread that is held up does one item, and the other the rest.
TEST(TeamClaims, OthersDoTheItemsOfASlowThread) {
  TeamClaims claims(2);
  std::vector<std::atomic<int>> by(20);
  std::atomic<int> left = 19;
  run_team(2, claims, [&](const Team& team) {
    for_claimed(20, team, [&](int64_t i) {
      by[static_cast<size_t>(i)] = team.thread + 1;
      if (team.thread == 1) {
        while (left > 0) std::this_thread::yield();
      } else {
        --left;
        if (i == 0) pause(20000);  // the other has begun
      }
    });
  });
  int slow = 0;
  for (const std::atomic<int>& thread : by) slow += thread == 2;
  EXPECT_LE(slow, 1);
}

// Loops without a meeting make the team meet, so that no place is taken by two of them; those with one do not.
TEST(TeamClaims, LoopsWithMeetingsBetweenThemAddNone) {
  TeamClaims claims(2);
  for (const bool meets : {true, false}) {
    TeamBarrier meeting(2);
    claims.reset();
#pragma omp parallel num_threads(2)
    {
      const Team team{omp_get_thread_num(), 2, &meeting, &claims};
      for (int loop = 0; loop < 100; ++loop) {
        for_claimed(3, team, [](int64_t) {});
        if (meets) team.barrier();
      }
    }
    EXPECT_EQ(meeting.meetings(), meets ? 100 : 6);
  }
}

TEST(TeamClaims, WithoutThemEachThreadDoesItsShare) {
  std::vector<int> by(5, -1);
  for (int thread = 0; thread < 2; ++thread) {
    for_claimed(5, Team{.thread = thread, .threads = 2}, [&](int64_t i) { by[static_cast<size_t>(i)] = thread; });
  }
  EXPECT_EQ(by, (std::vector<int>{0, 0, 0, 1, 1}));
}

}  // namespace
}  // namespace weft
