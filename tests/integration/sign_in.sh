#!/usr/bin/env bash
# The network: TLS, sign-in, tokens and roles, asked with curl as a client would.
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
. "$(dirname "$(readlink -f "$0")")/network.sh"
need curl jq openssl

token_of() { # NAME ROLE
  "$berth" -o json token create "$1" --role "$2" | jq -r .token
}

as() { # TOKEN: for curl
  printf 'authorization: Bearer %s' "$1"
}

start_network_daemon t4:2 || finish

say "TLS"
expect_http 200 "$origin/healthz"
name=$(openssl x509 -in "$state/tls/server.pem" -noout -ext subjectAltName | grep -o 'management\.[^,]*' | head -n 1)
expect_status 0 openssl verify -CAfile "$ca" -x509_strict -verify_hostname "$name" "$state/tls/server.pem"
expect_http 200 --resolve "$name:$port:127.0.0.1" "https://$name:$port/healthz"
expect_status 60 curl -s --resolve "other:$port:127.0.0.1" --cacert "$ca" "https://other:$port/healthz"
expect_status 60 curl -s "$origin/healthz"
expect_status 35 curl -s --cacert "$ca" --tls-max 1.1 "$origin/healthz"
# What does not speak TLS gets nothing.
expect_status 52 curl -s "http://localhost:$port/healthz"

say "without a token there is no API"
expect_http 401 "$origin/api/v1/gpus"
expect_body '.error.reason == "AuthenticationFailed"'
grep -qi '^www-authenticate: Bearer' <<<"$headers" || fail "no www-authenticate: $headers"
expect_http 401 -H "$(as nonsense)" "$origin/api/v1/gpus"
expect_body '.error.reason == "InvalidAuthenticationToken"'

say "the default user has no password until it is given one"
form=(--data-urlencode grant_type=password --data-urlencode client_id=1950a258-227b-4e31-a9cf-717495945fc2
  --data-urlencode "resource=$origin/" --data-urlencode username=EdgeArmUser)
expect_http 400 "${form[@]}" --data-urlencode 'password=' "$origin/adfs/oauth2/token"
expect_http 400 "${form[@]}" --data-urlencode 'password=x' "$origin/adfs/oauth2/token"
expect_body '.error_codes == [50126]'
printf 'pass word+1&=%%\n' >"$work/secret"
expect_status 0 berth token reset EdgeArmUser --secret-file "$work/secret"
expect_http 200 "${form[@]}" --data-urlencode 'password=pass word+1&=%' "$origin/adfs/oauth2/token"
expect_body '.token_type == "Bearer" and .expires_in == 5400'
owner=$(jq -r .access_token <<<"$out")
expect_http 200 -H "$(as "$owner")" "$origin/api/v1/status"

say "discovery leads to the token"
expect_http 200 "$origin/metadata/endpoints?api-version=2015-01-01"
expect_body ".authentication.loginEndpoint == \"$origin/adfs\""
expect_http 200 "$(jq -r .authentication.loginEndpoint <<<"$out")/.well-known/openid-configuration"
token_endpoint=$(jq -r .token_endpoint <<<"$out")
expect_http 200 "$(jq -r .jwks_uri <<<"$out")"
expect_body '.keys[0].kty == "RSA"'
expect_http 200 --data-urlencode grant_type=client_credentials --data-urlencode "scope=$origin/.default" \
  --data-urlencode client_id=cbd868c5-7207-431f-8d16-1cb144b50971 --data-urlencode 'client_secret=pass word+1&=%' \
  "$token_endpoint"

say "roles, on every route"
reader=$(token_of r reader)
operator=$(token_of o operator)
expect_http 200 -H "$(as "$owner")" "$origin/api/v1/openapi.json"
jq -r '.paths | to_entries[] | .key as $path | .value | to_entries[] |
  [.key, ($path | gsub("\\{tenant\\}"; "adfs") | gsub("\\{[a-z]*\\}"; "none")), .value["x-berth-role"]] | @tsv' \
  <<<"$out" >"$work/routes"
[ "$(wc -l <"$work/routes")" -ge 30 ] || fail "only $(wc -l <"$work/routes") routes are described"
declare -A level=([anyone]=0 [reader]=1 [operator]=2 [owner]=3)
status_of() { # TOKEN METHOD PATH
  curl -s --max-time 2 --cacert "$ca" -o /dev/null -w '%{http_code}' -X "${2^^}" ${1:+-H "$(as "$1")"} "$origin$3"
}
while IFS=$'\t' read -r method path role; do
  [ "${level[$role]}" -ge 1 ] || continue
  got=$(status_of '' "$method" "$path")
  if [ "$got" = 401 ]; then passed; else fail "$method $path without a token: $got"; fi
  [ "${level[$role]}" -ge 2 ] || continue
  got=$(status_of "$reader" "$method" "$path")
  if [ "$got" = 403 ]; then passed; else fail "$method $path as reader: $got"; fi
  [ "${level[$role]}" -ge 3 ] || continue
  got=$(status_of "$operator" "$method" "$path")
  if [ "$got" = 403 ]; then passed; else fail "$method $path as operator: $got"; fi
done <"$work/routes"
expect_http 202 -X PUT -H "$(as "$operator")" -d '{"gpus": 1}' "$origin/api/v1/reservations/vm1"

say "tokens outlive the daemon and not their account"
stop_daemon
start_network_daemon t4:2 || finish
expect_http 200 -H "$(as "$reader")" "$origin/api/v1/gpus"
expect_status 0 berth token revoke r
expect_http 401 -H "$(as "$reader")" "$origin/api/v1/gpus"
short=$("$berth" -o json token create s --lifetime 1 | jq -r .token)
# shellcheck disable=SC2317  # Called through wait_until.
expired() { [ "$(status_of "$short" get /api/v1/gpus)" = 401 ]; }
wait_until 10 expired || fail "a token of one second is good for ten"
expect_http 401 -H "$(as "$short")" "$origin/api/v1/gpus"
expect_body '.error.reason == "ExpiredAuthenticationToken"'

say "guessing is locked out"
for _ in 1 2 3 4 5; do
  expect_http 400 "${form[@]}" --data-urlencode 'password=wrong' "$origin/adfs/oauth2/token"
done
expect_http 400 "${form[@]}" --data-urlencode 'password=pass word+1&=%' "$origin/adfs/oauth2/token"
expect_body '.error_codes == [50053]'

say "secrets are in no log and no answer but the first"
expect_json 'map(keys[]) | index("secretHash") == null' berth token list
if grep -qF -e "$owner" -e 'pass word' "$work/berthd.log"; then fail "the log has a secret in it"; else passed; fi
finish
