#include "vm/seed.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <crypt.h>
#include <pugixml.hpp>
#include <yaml-cpp/yaml.h>

#include "base/text.h"
#include "os/files.h"
#include "vm/domain_xml.h"
#include "vm/guest_agent.h"

namespace berth::vm {
namespace {

namespace fs = std::filesystem;

// https://learn.microsoft.com/azure/virtual-machines/linux/faq and windows/faq: "What are the username
// requirements".
constexpr std::array<std::string_view, 24> kReservedUsers{
    "administrator", "admin", "user",    "user1", "test",    "user2", "test1",   "user3",
    "admin1",        "1",     "123",     "a",     "actuser", "adm",   "backup",  "root",
    "guest",         "john",  "console", "owner", "server",  "sys",   "support", "sql"};

tl::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::InvalidArgument, std::move(message));
}

bool isControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }

Result<void> checkUser(const std::string& user, GuestOs os) {
  const std::size_t most = os == GuestOs::Windows ? 20 : 64;
  const auto ok = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
  };
  if (user.empty() || user.size() > most || user.front() == '-' ||
      !std::all_of(user.begin(), user.end(), ok)) {
    return invalid("user name: 1 to " + std::to_string(most) +
                   " letters, digits, '-' and '_', not beginning with '-'");
  }
  if (std::find(kReservedUsers.begin(), kReservedUsers.end(), toLower(user)) != kReservedUsers.end()) {
    return invalid("user name " + user + " is reserved");
  }
  return {};
}

Result<void> checkPassword(const std::string& password, GuestOs os) {
  const std::size_t most = os == GuestOs::Windows ? 123 : 72;
  if (password.size() < 12 || password.size() > most) {
    return invalid("password: 12 to " + std::to_string(most) + " characters");
  }
  int kinds = 0;
  const auto any = [&password](auto is) { return std::any_of(password.begin(), password.end(), is) ? 1 : 0; };
  kinds += any([](unsigned char c) { return std::islower(c) != 0; });
  kinds += any([](unsigned char c) { return std::isupper(c) != 0; });
  kinds += any([](unsigned char c) { return std::isdigit(c) != 0; });
  kinds += any([](unsigned char c) { return std::isalnum(c) == 0; });
  if (kinds < 3) return invalid("password: three of lower case, upper case, digit and special character");
  if (std::any_of(password.begin(), password.end(), isControl))
    return invalid("password: a control character");
  return {};
}

Result<std::string> customData(const SeedSpec& spec) {
  const auto data = base64Decode(spec.custom_data_base64);
  if (!data) return invalid("custom data is not base64");
  if (data->size() > kMaxCustomData) {
    return invalid("custom data has " + std::to_string(data->size()) + " bytes; at most " +
                   std::to_string(kMaxCustomData) + " are taken");
  }
  return *data;
}

Result<std::string> hashed(const std::string& password, const std::string& salt) {
  auto data = std::make_unique<crypt_data>();
  const char* hash = crypt_r(password.c_str(), ("$6$" + salt).c_str(), data.get());
  if (hash == nullptr || hash[0] != '$') return fail(ErrorCode::Internal, "crypt does not know sha512-crypt");
  return std::string(hash);
}

YAML::Node userNode(const SeedSpec& spec, const std::string& hash) {
  YAML::Node user;
  user["name"] = spec.user;
  user["groups"] = "sudo";
  user["shell"] = "/bin/bash";
  user["sudo"] = hash.empty() ? "ALL=(ALL) NOPASSWD:ALL" : "ALL=(ALL) ALL";
  user["lock_passwd"] = hash.empty();
  if (!hash.empty()) user["passwd"] = hash;
  for (const std::string& key : spec.ssh_keys) user["ssh_authorized_keys"].push_back(key);
  return user;
}

std::string networkConfig(const SeedSpec& spec) {
  YAML::Node root;
  root["version"] = 2;
  for (std::size_t i = 0; i < spec.nics.size(); ++i) {
    const SeedNic& nic = spec.nics[i];
    YAML::Node node;
    node["match"]["macaddress"] = toLower(nic.mac);
    node["dhcp4"] = !nic.fixed.has_value();
    if (nic.fixed) {
      node["addresses"].push_back(nic.fixed->address + "/" + std::to_string(nic.fixed->prefix));
      YAML::Node route;
      route["to"] = "0.0.0.0/0";
      route["via"] = nic.fixed->gateway;
      if (!nic.fixed->gateway.empty()) node["routes"].push_back(route);
      for (const std::string& server : nic.fixed->dns) node["nameservers"]["addresses"].push_back(server);
    }
    root["ethernets"]["nic" + std::to_string(i)] = node;
  }
  return YAML::Dump(root) + "\n";
}

Result<void> checkNics(const SeedSpec& spec) {
  for (const SeedNic& nic : spec.nics) {
    if (!nic.fixed) continue;
    std::vector<std::string> addresses = nic.fixed->dns;
    addresses.push_back(nic.fixed->address);
    if (!nic.fixed->gateway.empty()) addresses.push_back(nic.fixed->gateway);
    for (const std::string& address : addresses) {
      if (!parseIpv4(address)) return invalid("\"" + address + "\" is not an IPv4 address");
    }
    if (nic.fixed->prefix < 1 || nic.fixed->prefix > 31) return invalid("a prefix is 1 to 31");
  }
  return {};
}

pugi::xml_node component(pugi::xml_node settings, const char* name) {
  pugi::xml_node node = settings.append_child("component");
  node.append_attribute("name").set_value(name);
  node.append_attribute("processorArchitecture").set_value("amd64");
  node.append_attribute("publicKeyToken").set_value("31bf3856ad364e35");
  node.append_attribute("language").set_value("neutral");
  node.append_attribute("versionScope").set_value("nonSxS");
  return node;
}

void text(pugi::xml_node parent, const char* name, const std::string& value) {
  parent.append_child(name).text().set(value.c_str());
}

}  // namespace

Result<void> checkSeed(const SeedSpec& spec, GuestOs os) {
  const std::size_t most = os == GuestOs::Windows ? 15 : 63;
  if (!isDnsName(toLower(spec.hostname)) || spec.hostname.size() > most ||
      spec.hostname.find('.') != std::string::npos) {
    return invalid("computer name: 1 to " + std::to_string(most) + " letters, digits and '-'");
  }
  TRY_VOID(checkUser(spec.user, os));
  if (!spec.password.empty()) TRY_VOID(checkPassword(spec.password, os));
  if (spec.password.empty() && (os == GuestOs::Windows || spec.ssh_keys.empty())) {
    return invalid(os == GuestOs::Windows ? "a Windows VM needs a password"
                                          : "a password or an SSH key is needed");
  }
  for (const std::string& key : spec.ssh_keys) {
    const bool typed = key.starts_with("ssh-") || key.starts_with("ecdsa-") || key.starts_with("sk-");
    if (!typed || std::any_of(key.begin(), key.end(), isControl))
      return invalid("an SSH key is not a public key's line");
  }
  return checkNics(spec);
}

Result<std::map<std::string, std::string>> linuxSeed(const SeedSpec& spec, const std::string& salt) {
  TRY_VOID(checkSeed(spec, GuestOs::Linux));
  TRY(const auto custom, customData(spec));
  std::string hash;
  if (!spec.password.empty()) {
    TRY(hash, hashed(spec.password, salt));
  }
  YAML::Node config;
  config["hostname"] = spec.hostname;
  config["users"].push_back(userNode(spec, hash));
  config["ssh_pwauth"] = !hash.empty();
  YAML::Node meta;
  meta["instance-id"] = spec.instance_id;
  meta["local-hostname"] = spec.hostname;
  std::map<std::string, std::string> files;
  files["meta-data"] = YAML::Dump(meta) + "\n";
  files["user-data"] = "#cloud-config\n" + YAML::Dump(config) + "\n";
  if (!spec.nics.empty()) files["network-config"] = networkConfig(spec);
  // vendor-data is merged under user-data, so a user's cloud-config runs and cannot take the account away.
  if (!custom.empty()) files["vendor-data"] = custom;
  return files;
}

Result<std::map<std::string, std::string>> windowsSeed(const SeedSpec& spec) {
  TRY_VOID(checkSeed(spec, GuestOs::Windows));
  TRY(const auto custom, customData(spec));
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("unattend");
  root.append_attribute("xmlns").set_value("urn:schemas-microsoft-com:unattend");
  pugi::xml_node specialize = root.append_child("settings");
  specialize.append_attribute("pass").set_value("specialize");
  text(component(specialize, "Microsoft-Windows-Shell-Setup"), "ComputerName", spec.hostname);
  pugi::xml_node oobe = root.append_child("settings");
  oobe.append_attribute("pass").set_value("oobeSystem");
  pugi::xml_node shell = component(oobe, "Microsoft-Windows-Shell-Setup");
  pugi::xml_node screens = shell.append_child("OOBE");
  text(screens, "HideEULAPage", "true");
  text(screens, "ProtectYourPC", "3");
  pugi::xml_node account =
      shell.append_child("UserAccounts").append_child("LocalAccounts").append_child("LocalAccount");
  account.append_attribute("wcm:action").set_value("add");
  account.append_attribute("xmlns:wcm").set_value("http://schemas.microsoft.com/WMIConfig/2002/State");
  pugi::xml_node password = account.append_child("Password");
  text(password, "Value", spec.password);
  text(password, "PlainText", "true");
  text(account, "Name", spec.user);
  text(account, "Group", "Administrators");
  std::ostringstream out;
  document.save(out, " ");
  std::map<std::string, std::string> files{{"Autounattend.xml", out.str()}};
  if (!custom.empty()) files["CustomData.bin"] = custom;
  return files;
}

Result<void> writeSeed(os::ProcessRunner& runner, const std::map<std::string, std::string>& files,
                       const fs::path& iso, Deadline deadline) {
  const fs::path folder = iso.string() + ".new-files";
  const fs::path made = iso.string() + ".new";
  const auto write = [&]() -> Result<void> {
    TRY_VOID(os::removeTree(folder));
    TRY_VOID(os::ensureDirectory(folder, 0700));
    for (const auto& [name, content] : files) TRY_VOID(os::writeFileAtomically(folder / name, content, 0600));
    os::ProcessSpec spec;
    spec.argv = {"genisoimage", "-quiet", "-output", made, "-volid", "cidata", "-joliet", "-rock", folder};
    TRY(const auto result, runner.run(spec, deadline).during("genisoimage"));
    if (!result.status.success()) {
      return fail(ErrorCode::Io,
                  "genisoimage " + os::describe(result.status) + ": " + std::string(trim(result.errors)));
    }
    std::error_code error;
    fs::permissions(made, fs::perms::owner_read | fs::perms::owner_write, error);
    if (!error) fs::rename(made, iso, error);
    if (error) return fail(errnoError(error.value(), "rename", made.string()));
    return {};
  };
  Result<void> written = write();
  // The files hold a password; they go whatever happened.
  static_cast<void>(os::removeTree(folder));
  if (!written) static_cast<void>(os::removeTree(made));
  return written;
}

}  // namespace berth::vm
