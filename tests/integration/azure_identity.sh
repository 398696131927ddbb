#!/usr/bin/env bash
# Azure's own sign-in library for Node, as it comes from npm, signs in to a daemon and verifies its TLS.
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$(dirname "$(readlink -f "$0")")/network.sh"
need curl jq node npm
readonly node_least=20  # What the library asks for.
[ "$(node -p 'parseInt(process.versions.node)')" -ge "$node_least" ] || skip "node is older than $node_least"

say "the clients from npm, as package-lock.json fixes them"
clients=$BERTH_BUILD_DIR/tests/arm-clients
mkdir -p "$clients"
cp "$BERTH_SOURCE_DIR"/tests/integration/arm/{package.json,package-lock.json,*.mjs} "$clients/"
if ! cmp -s "$clients/package-lock.json" "$clients/installed-lock.json"; then
  curl -sf --max-time 20 -o /dev/null "$(npm config get registry)" || skip "npm's registry cannot be reached"
  if ! (cd "$clients" && timeout 200 npm ci --ignore-scripts --no-audit --no-fund) >"$work/npm.log" 2>&1; then
    skip "npm does not install the clients: $(tail -n 2 "$work/npm.log" | tr '\n' ' ')"
  fi
  cp "$clients/package-lock.json" "$clients/installed-lock.json"
fi

start_network_daemon t4:1 || finish
made=$("$berth" -o json token create js --role reader) || fail "no account"
if NODE_EXTRA_CA_CERTS=$ca timeout "$command_s" node "$clients/sign_in.mjs" "$origin" "$(jq -r .clientId <<<"$made")" \
  "$(jq -r .secret <<<"$made")" 2>&1 | sed 's/^/  /'; then
  passed
else
  fail "sign_in.mjs"
fi

say "without the authority's certificate nothing is asked"
asked() { grep -c 'msg=request ' "$work/berthd.log"; }
before=$(asked)
if NODE_EXTRA_CA_CERTS='' timeout "$command_s" node "$clients/sign_in.mjs" "$origin" a b >"$work/untrusted" 2>&1; then
  fail "an unknown authority was trusted"
elif grep -q 'endpoints_resolution_error' "$work/untrusted" && [ "$(asked)" = "$before" ]; then
  passed
else
  fail "$before requests, then $(asked): $(tail -n 3 "$work/untrusted")"
fi
finish
