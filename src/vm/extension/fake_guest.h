// A guest with no guest: what the installer sees of one through QEMU's agent, answered from a map.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "vm/guest_agent.h"

namespace berth::vm::extension {

/// A guest behind the agent protocol, as QEMU's agent speaks it: files are kept, programs answered by verb.
class FakeGuest {
 public:
  struct Answer {
    int code = 0;
    std::string output;
  };

  explicit FakeGuest(std::string os_info) : os_info_(std::move(os_info)) {
    answers["status"] = {{0, "state=none\nlog:\n"}};
    answers["inspect"] = {{0, "gpu=0x8086:0x1237:0x060000\ngpu=0x10de:0x1eb8:0x030200\n"}};
  }

  std::string operator()(const std::string& text) {
    const boost::json::object call = boost::json::parse(text).as_object();
    const std::string name(call.at("execute").as_string());
    const boost::json::object arguments =
        call.contains("arguments") ? call.at("arguments").as_object() : boost::json::object();
    return boost::json::serialize(boost::json::object{{"return", answer(name, arguments)}});
  }

  /// The verb's answers, one after the other, the last one for ever. Verbs without any succeed silently.
  std::map<std::string, std::deque<Answer>> answers;
  std::map<std::string, std::string> files;
  std::vector<std::vector<std::string>> programs;  // Whole command lines.
  std::vector<std::string> verbs;

 private:
  boost::json::value answer(const std::string& name, const boost::json::object& arguments) {
    if (name == "guest-get-osinfo") return boost::json::parse(os_info_);
    if (name == "guest-file-open") {
      open_ = std::string(arguments.at("path").as_string());
      files[open_].clear();
      return 1;
    }
    if (name == "guest-file-write") {
      files[open_] += *base64Decode(std::string(arguments.at("buf-b64").as_string()));
      return boost::json::object{{"count", 1}};
    }
    if (name == "guest-exec") return boost::json::object{{"pid", execute(arguments)}};
    if (name == "guest-exec-status") {
      return boost::json::object{
          {"exited", true}, {"exitcode", last_.code}, {"out-data", base64Encode(last_.output)}};
    }
    return boost::json::object{};
  }

  int execute(const boost::json::object& arguments) {
    std::vector<std::string> words{std::string(arguments.at("path").as_string())};
    for (const boost::json::value& word : arguments.at("arg").as_array())
      words.emplace_back(word.as_string());
    const auto script = std::ranges::find_if(words, [](const std::string& word) {
      return word.ends_with("berth.sh") || word.ends_with("berth.ps1");
    });
    const std::string verb = script == words.end() ? "mkdir" : *(script + 1);
    programs.push_back(std::move(words));
    verbs.push_back(verb);
    std::deque<Answer>& queue = answers[verb];
    last_ = queue.empty() ? Answer{} : queue.front();
    if (queue.size() > 1) queue.pop_front();
    return 7;
  }

  std::string os_info_;
  std::string open_;
  Answer last_;
};

inline constexpr const char* kUbuntu =
    R"({"id":"ubuntu","version-id":"22.04","pretty-name":"Ubuntu 22.04.3 LTS"})";
inline constexpr const char* kWindows =
    R"({"id":"mswindows","version-id":"2019","pretty-name":"Windows Server 2019 Datacenter","variant-id":"server"})";

}  // namespace berth::vm::extension
