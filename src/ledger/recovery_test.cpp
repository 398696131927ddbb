// What the ledger survives: kill -9 around every commit, a log cut anywhere, damaged pages, disks that fail.
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arbiter/arbiter.h"
#include "base/error.h"
#include "ledger/failpoint.h"
#include "ledger/faulty_disk.h"
#include "ledger/ledger.h"
#include "ledger/ledger_testing.h"
#include "ledger/records.h"
#include "ledger/state.h"

namespace berth::ledger {
namespace {

using ::testing::ElementsAre;
using testing::Fault;
using testing::FaultyDisk;
using ::testing::HasSubstr;
using testing::open;
using testing::readFile;
using testing::stateWith;
using testing::store;
using testing::TempDir;
using testing::writeFile;

constexpr int kCommits = 3;

/// The number of commits a ledger shows: its state and its events must agree on it.
int commitsIn(Ledger& ledger) {
  const auto state = ledger.loadState();
  if (!state) return -1;
  const int commits = static_cast<int>(state->berths.size());
  EXPECT_EQ(*state, commits == 0 && state->gpus.empty() ? State{} : stateWith(commits));
  EXPECT_EQ(*ledger.lastEvent(), commits);
  return commits;
}

void storeAll(Ledger& ledger) {
  State before;
  for (int commit = 1; commit <= kCommits; ++commit) {
    const State after = stateWith(commit);
    if (!store(ledger, before, after)) return;
    before = after;
  }
}

// Failpoints -----------------------------------------------------------------------------------------------

class Recorder final : public FailPoint {
 public:
  void cross(std::string_view name, std::int64_t number) override {
    crossings.push_back(std::to_string(number) + " " + std::string(name));
  }
  std::vector<std::string> crossings;
};

TEST(RecoveryTest, EachCommitIsCrossedBeforeAndAfter) {
  const TempDir dir;
  Recorder recorder;
  const auto ledger = open(dir, {.fail_point = &recorder, .vfs = ""});
  ASSERT_TRUE(store(*ledger, State{}, stateWith(1)));
  ASSERT_TRUE(store(*ledger, stateWith(1), stateWith(2)));
  EXPECT_THAT(recorder.crossings,
              ElementsAre("1 store:before", "2 store:after", "3 store:before", "4 store:after"));
}

/// Runs the commits in a child that is killed at the given crossing; how it ended.
int runAndDieAt(const TempDir& dir, int crossing) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("BERTH_FAILPOINT", std::to_string(crossing).c_str(), 1);
    const auto fail_point = failPointFromEnvironment();
    auto ledger = Ledger::open(dir.path(), {.fail_point = fail_point.get(), .vfs = ""});
    if (ledger) storeAll(**ledger);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(RecoveryTest, AKillAroundAnyCommitLosesNothingThatWasCommitted) {
  for (int crossing = 1; crossing <= 2 * kCommits; ++crossing) {
    SCOPED_TRACE("killed at crossing " + std::to_string(crossing));
    const TempDir dir;
    const int status = runAndDieAt(dir, crossing);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EXPECT_EQ(commitsIn(*open(dir)), crossing / 2);
  }
}

TEST(RecoveryTest, AFolderListsTheCrossingsAndNamesTheOneToDieAtWhileTheProgramRuns) {
  const TempDir dir;
  const TempDir folder;
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("BERTH_FAILPOINT", folder.path().c_str(), 1);
    const auto fail_point = failPointFromEnvironment();
    fail_point->cross("store:before", 1);
    writeFile(folder.path() + "/kill-at", "3\n");
    fail_point->cross("store:after", 2);
    fail_point->cross("store:before", 3);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(readFile(folder.path() + "/crossings"), "1 store:before\n2 store:after\n3 store:before\n");
}

TEST(RecoveryTest, WithoutTheVariableOrWithNonsenseThereIsNoFailPoint) {
  ::unsetenv("BERTH_FAILPOINT");
  EXPECT_EQ(failPointFromEnvironment(), nullptr);
  for (const char* value : {"", "0", "-1", "x"}) {
    ::setenv("BERTH_FAILPOINT", value, 1);
    EXPECT_EQ(failPointFromEnvironment(), nullptr) << value;
  }
  ::unsetenv("BERTH_FAILPOINT");
}

// A torn tail ----------------------------------------------------------------------------------------------

struct Files {
  std::string database;
  std::string log;
  std::vector<std::size_t> ends;  // Length of the log after each commit, from none.
};

/// Commits in one go; the files as they are while the ledger is open, before the log is folded in.
Files filesAfterCommits() {
  const TempDir dir;
  open(dir).reset();  // The tables are in the database, the log is empty.
  const auto ledger = open(dir);
  Files files;
  files.ends.push_back(readFile(dir.file("ledger.db-wal")).size());
  for (int commit = 1; commit <= kCommits; ++commit) {
    const State before = commit == 1 ? State{} : stateWith(commit - 1);
    EXPECT_TRUE(store(*ledger, before, stateWith(commit)));
    files.ends.push_back(readFile(dir.file("ledger.db-wal")).size());
  }
  files.database = readFile(dir.file("ledger.db"));
  files.log = readFile(dir.file("ledger.db-wal"));
  return files;
}

/// Every offset near a commit's end and near every frame's, and a grid over the rest.
std::vector<std::size_t> cutsOf(const Files& files) {
  constexpr std::size_t kHeader = 32;
  constexpr std::size_t kFrame = 24 + 4096;
  std::vector<std::size_t> cuts;
  for (std::size_t cut = 0; cut <= files.log.size(); ++cut) {
    const std::size_t in_frame = cut < kHeader ? cut : (cut - kHeader) % kFrame;
    const bool near_edge = in_frame <= 2 || in_frame >= kFrame - 2 || (in_frame >= 23 && in_frame <= 25);
    if (near_edge || cut % 211 == 0) cuts.push_back(cut);
  }
  return cuts;
}

TEST(RecoveryTest, ALogCutAnywhereKeepsExactlyTheWholeCommits) {
  const Files files = filesAfterCommits();
  ASSERT_EQ(files.ends.back(), files.log.size());
  const TempDir dir;
  for (const std::size_t cut : cutsOf(files)) {
    SCOPED_TRACE("cut at byte " + std::to_string(cut) + " of " + std::to_string(files.log.size()));
    writeFile(dir.file("ledger.db"), files.database);
    writeFile(dir.file("ledger.db-wal"), files.log.substr(0, cut));
    const auto ledger = open(dir);
    ASSERT_NE(ledger, nullptr);
    const auto whole = std::ranges::count_if(files.ends, [cut](std::size_t end) { return end <= cut; });
    ASSERT_EQ(commitsIn(*ledger), std::max<int>(0, static_cast<int>(whole) - 1));
  }
}

// Damage ---------------------------------------------------------------------------------------------------

/// A ledger of several pages for each table, all in the database file.
void fillLedger(const TempDir& dir) {
  const auto ledger = open(dir);
  ASSERT_TRUE(store(*ledger, State{}, stateWith(90)));
  auto transaction = ledger->begin("fill");
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(transaction->appendEvent(Event{0, i, "kind", "subject", std::string(100, 'x'), "{}"}));
  }
  ASSERT_TRUE(transaction->commit());
}

TEST(RecoveryTest, ADamagedPageStopsStartUpAndRepairKeepsWhatCanBeRead) {
  constexpr std::size_t kPage = 4096;
  const TempDir original;
  fillLedger(original);
  const std::string bytes = readFile(original.file("ledger.db"));
  int damaged = 0;
  for (std::size_t page = 0; page * kPage < bytes.size(); ++page) {
    SCOPED_TRACE("page " + std::to_string(page + 1));
    const TempDir dir;
    std::string broken = bytes;
    std::fill_n(broken.begin() + static_cast<std::ptrdiff_t>(page * kPage), kPage, '\xa5');
    writeFile(dir.file("ledger.db"), broken);
    if (auto ledger = Ledger::open(dir.path())) {
      FAIL() << "a page of rubbish was not noticed";
    } else {
      EXPECT_EQ(ledger.error().code, ErrorCode::Corrupt) << ledger.error().message;
      EXPECT_THAT(ledger.error().message, HasSubstr("berthd --repair"));
    }
    EXPECT_EQ(readFile(dir.file("ledger.db")), broken);  // Nothing was changed.
    const auto report = Ledger::repair(dir.path());
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(readFile(report->damaged_copy), broken);
    const auto repaired = open(dir);
    ASSERT_NE(repaired, nullptr);
    EXPECT_EQ(arbiter::violation(*repaired->loadState()), "");
    EXPECT_TRUE(repaired->events(0, 1000));
    EXPECT_TRUE(report->complete || !report->findings.empty());
    ++damaged;
  }
  EXPECT_GT(damaged, 15);
}

TEST(RecoveryTest, DamageToTheEventsLeavesTheStateWhole) {
  constexpr std::size_t kPage = 4096;
  const TempDir dir;
  fillLedger(dir);
  std::string bytes = readFile(dir.file("ledger.db"));
  std::vector<std::size_t> pages;  // Those full of events.
  for (std::size_t at = 0; at < bytes.size(); at += kPage) {
    if (bytes.substr(at, kPage).find(std::string(100, 'x')) != std::string::npos) pages.push_back(at);
  }
  ASSERT_GE(pages.size(), 3U);
  const std::size_t middle = pages[pages.size() / 2];
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(middle), kPage, '\0');
  writeFile(dir.file("ledger.db"), bytes);
  ASSERT_EQ(Ledger::open(dir.path()).error().code, ErrorCode::Corrupt);
  const auto report = Ledger::repair(dir.path());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->findings, ElementsAre(HasSubstr("table event: ")));
  const auto repaired = open(dir);
  EXPECT_EQ(*repaired->loadState(), stateWith(90));
  const std::vector<Event> left = *repaired->events(0, 1000);
  EXPECT_GT(left.size(), 100U);
  EXPECT_LT(left.size(), 201U);
  EXPECT_EQ(left.front().seq, 1);
  EXPECT_EQ(left.back().seq, 201);  // Read from both ends.
}

TEST(RecoveryTest, RepairingASoundLedgerLosesNothing) {
  const TempDir dir;
  fillLedger(dir);
  const auto report = Ledger::repair(dir.path());
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete) << report->findings.front();
  const auto ledger = open(dir);
  EXPECT_EQ(*ledger->loadState(), stateWith(90));
  EXPECT_EQ(*ledger->lastEvent(), 201);
}

TEST(RecoveryTest, AFileThatIsNoDatabaseIsSetAsideAndReplacedByAnEmptyLedger) {
  const TempDir dir;
  writeFile(dir.file("ledger.db"), std::string(5000, 'z'));
  EXPECT_EQ(Ledger::open(dir.path()).error().code, ErrorCode::Corrupt);
  const auto report = Ledger::repair(dir.path());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->complete);
  EXPECT_EQ(*open(dir)->loadState(), State{});
}

// Disks that fail ------------------------------------------------------------------------------------------

class FailingDiskTest : public ::testing::TestWithParam<Fault> {
 protected:
  /// One ledger whose disk fails at the given operation of the second commit. True: the commit came first.
  bool failAt(int number) {
    const TempDir dir;
    FaultyDisk disk;
    const State before = stateWith(1);
    const State after = stateWith(2);
    bool committed = false;
    {
      const auto ledger = open(dir, {.fail_point = nullptr, .vfs = disk.name()});
      EXPECT_TRUE(store(*ledger, State{}, before));
      disk.failFrom(number, GetParam());
      const Result<void> stored = store(*ledger, before, after);
      committed = stored.has_value();
      if (!committed) expectClosed(*ledger, stored.error(), before);
    }
    disk.heal();
    const int commits = commitsIn(*open(dir));
    EXPECT_TRUE(committed ? commits == 2 : commits == 1 || commits == 2) << commits;
    return !disk.failed();
  }

  static void expectClosed(Ledger& ledger, const Error& error, const State& before) {
    EXPECT_EQ(error.code, ErrorCode::Io) << error.message;
    ASSERT_TRUE(ledger.closedBy());
    const auto next = ledger.begin("later");
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().code, ErrorCode::Unavailable);
    EXPECT_THAT(next.error().message, HasSubstr(ledger.closedBy()->message));
    EXPECT_EQ(*ledger.loadState(), before);  // Reads go on.
  }
};

TEST_P(FailingDiskTest, AFailedWriteClosesTheLedgerAndTheNextStartHasBeforeOrAfter) {
  constexpr int kEnough = 200;
  int number = 1;
  while (number < kEnough && !failAt(number)) ++number;
  EXPECT_GT(number, 1);
  EXPECT_LT(number, kEnough);  // At last the whole commit came first.
}

std::string faultName(const ::testing::TestParamInfo<Fault>& fault) {
  if (fault.param == Fault::Full) return "Full";
  return fault.param == Fault::Sync ? "Sync" : "TornWrite";
}

INSTANTIATE_TEST_SUITE_P(Faults, FailingDiskTest,
                         ::testing::Values(Fault::Full, Fault::TornWrite, Fault::Sync), faultName);

}  // namespace
}  // namespace berth::ledger
