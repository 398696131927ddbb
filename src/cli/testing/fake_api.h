// The daemon's side of the socket for tests: canned answers in order, requests kept.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace berth::cli::testing {

/// Serves one connection per answer, in their order, then none.
class FakeApi {
 public:
  struct Answer {
    int status = 200;
    std::string body;
    bool hang_up = false;          // Close without an answer.
    bool hold = false;             // Answer nothing until the client closes.
    std::function<void()> then{};  // Called when the request was read.
  };

  explicit FakeApi(std::vector<Answer> answers);
  FakeApi(const FakeApi&) = delete;
  FakeApi& operator=(const FakeApi&) = delete;
  ~FakeApi();

  std::string socket() const { return directory_ / "s"; }
  /// "POST /api/v1/apply?file=a.yaml\nBODY" of every request so far. After the last answer only.
  const std::vector<std::string>& requests();

 private:
  void serve(const std::vector<Answer>& answers);
  void finish();

  std::filesystem::path directory_;
  int listener_ = -1;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace berth::cli::testing
