#include "daemon/network.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "tls/certificate_store.h"

namespace berth::daemon {
namespace {

constexpr const char* kFallbackName = "berth";
constexpr std::array<const char*, 2> kLoopback{"127.0.0.1", "::1"};

void addOnce(std::vector<std::string>& list, const std::string& text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(text);
}

std::string hostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string numeric(const sockaddr& address) {
  std::array<char, NI_MAXHOST> text{};
  const socklen_t size = address.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const int failed = ::getnameinfo(&address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
  return failed == 0 ? text.data() : "";
}

bool isReachable(const ifaddrs& entry) {
  if (entry.ifa_addr == nullptr || (entry.ifa_flags & IFF_UP) == 0) return false;
  return entry.ifa_addr->sa_family == AF_INET || entry.ifa_addr->sa_family == AF_INET6;
}

/// Of every interface that is up; link-local ones, which name an interface of this host, are left out.
std::vector<std::string> ownAddresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  std::vector<std::string> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (!isReachable(*entry)) continue;
    const std::string text = numeric(*entry->ifa_addr);
    if (!text.empty() && text.find('%') == std::string::npos) addOnce(addresses, text);
  }
  return addresses;
}

bool isWildcard(const http::TcpAddress& address) { return address.host == "0.0.0.0" || address.host == "::"; }

std::vector<std::string> certifiedAddresses(const std::vector<http::TcpAddress>& listen) {
  std::vector<std::string> addresses;
  for (const http::TcpAddress& address : listen) {
    if (!isWildcard(address)) {
      addOnce(addresses, address.host);
      continue;
    }
    for (const std::string& own : ownAddresses()) addOnce(addresses, own);
  }
  return addresses;
}

Result<tls::KeyPair> certificateFor(const Config& config, std::chrono::system_clock::time_point now) {
  if (!config.tls_certificate.empty()) return tls::readCertificate(config.tls_certificate, config.tls_key);
  const tls::SubjectNames names =
      subjectNames(deviceName(config), hostName(), certifiedAddresses(config.listen));
  return tls::ensureServerCertificate(config.state_dir / "tls", names, now);
}

}  // namespace

tls::SubjectNames subjectNames(const std::string& device, const std::string& host_name,
                               const std::vector<std::string>& addresses) {
  tls::SubjectNames names{{"management." + device, "login." + device, "*.blob." + device, device}, {}};
  addOnce(names.dns, "localhost");
  const std::string host = toLower(host_name);
  if (isDnsName(host)) addOnce(names.dns, host);
  for (const char* address : kLoopback) addOnce(names.addresses, address);
  for (const std::string& address : addresses) addOnce(names.addresses, address);
  return names;
}

std::string defaultDeviceName(const std::string& host_name) {
  const std::string name = toLower(host_name);
  return isDnsName(name) ? name : kFallbackName;
}

std::string deviceName(const Config& config) {
  return config.device_name.empty() ? defaultDeviceName(hostName()) : config.device_name;
}

Result<std::vector<http::ListenEndpoint>> networkEndpoints(const Config& config,
                                                           std::chrono::system_clock::time_point now) {
  std::vector<http::ListenEndpoint> endpoints;
  if (config.listen.empty()) return endpoints;
  TRY(const tls::KeyPair pair, certificateFor(config, now).during("TLS"));
  for (const http::TcpAddress& address : config.listen) {
    endpoints.emplace_back(http::TcpListenEndpoint{address, pair.certificate_pem, pair.key_pem});
  }
  return endpoints;
}

}  // namespace berth::daemon
