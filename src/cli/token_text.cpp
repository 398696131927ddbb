#include "cli/token_text.h"

#include <boost/json.hpp>

#include "cli/json_fields.h"
#include "cli/render.h"

namespace berth::cli {

namespace json = boost::json;

std::string tokenList(const json::value& accounts, const TextStyle& style) {
  Table table({{"NAME"}, {"CLIENT ID"}, {"ROLE"}, {"STATE"}, {"CREATED"}});
  for (const json::value& account : list(accounts, "")) {
    table.add({text(account, "name"), text(account, "clientId"), text(account, "role"),
               text(account, "active") == "true" ? "active" : "no secret",
               timeText(text(account, "created"))});
  }
  return table.text(style);
}

std::string newSecretPage(const json::value& made) {
  return "name:       " + text(made, "name") + "\nrole:       " + text(made, "role") +
         "\nclient id:  " + text(made, "clientId") + "\ntenant:     " + text(made, "tenant") +
         "\nsecret:     " + text(made, "secret") + "\ntoken:      " + text(made, "token") +
         "\nThe secret and the token are not shown again; the token is good for " +
         text(made, "tokenLifetimeSeconds") + " seconds.\n";
}

}  // namespace berth::cli
