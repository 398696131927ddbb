# Shared by the scripts that come over the network; sourced after lib.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # work and state are lib.sh's; origin, ca and headers are for those who source this.

# start_network_daemon t4:1 [OPTION...]: a daemon on a port of the kernel's choice. Sets origin (https://localhost:PORT),
# port and ca, the authority's certificate.
start_network_daemon() {
  : >"$work/berthd.log"
  start_daemon "$@" --listen 127.0.0.1:0 || return 1
  port=$(sed -n 's/.* listen=127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/berthd.log" | tail -n 1)
  origin=https://localhost:$port
  ca=$state/tls/ca.pem
  [ -n "$port" ] || fail "the daemon does not say where it listens"
}

# expect_http STATUS CURL_ARGUMENT...: the answer's body is in $out then, its headers in $headers.
expect_http() {
  local wanted=$1 got
  shift
  got=$(curl -s --max-time 60 --cacert "$ca" -D "$work/headers" -o "$work/out" -w '%{http_code}' "$@")
  out=$(cat "$work/out" 2>/dev/null)
  headers=$(tr -d '\r' <"$work/headers" 2>/dev/null)
  if [ "$got" = "$wanted" ]; then
    passed
    return 0
  fi
  fail "status $got, not $wanted: ${*: -1}: $out"
  return 1
}

# The last answer's body satisfies the jq filter.
expect_body() {
  if jq -e "$1" <<<"$out" >/dev/null 2>&1; then passed; else fail "not so: $1: $out"; fi
}
