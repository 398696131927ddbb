#!/usr/bin/env bash
# What holds for every command: help, usage errors, the formats, completion and the man page.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq

say "--help everywhere"
for words in "" status gpu "gpu list" "gpu show" "gpu mode" apply plan "plan reserve" "plan kubernetes enable" \
  "plan gpu mode" delete workload "workload list" "workload show" "workload logs" "workload stop" "workload start" \
  "workload delete" reserve unreserve kubernetes "kubernetes enable" "kubernetes disable" "kubernetes release" \
  "kubernetes status" mps "mps start" "mps stop" "mps status" events operation "operation list" "operation show" \
  "operation wait" sim "sim fault" "sim status" completion version; do
  # shellcheck disable=SC2086  # The words of one command.
  expect_status 0 berth $words --help
  [ -n "$out" ] || fail "berth $words --help prints nothing"
done
expect_status 0 "$berthd" --help

say "usage errors"
expect_status 2 berth frobnicate
expect_status 2 berth gpu
expect_status 2 berth reserve vm1
expect_status 2 berth reserve vm1 --gpus 0
expect_status 2 berth -o xml status

say "no daemon"
expect_status 1 berth status
expect_err "$BERTH_SOCKET"

say "formats"
start_daemon t4:2 || finish
for words in status "gpu list" "gpu show 0" "workload list" "mps status" "kubernetes status" "operation list" events \
  "sim status"; do
  # shellcheck disable=SC2086  # The words of one command.
  expect_json 'type == "array" or type == "object"' berth $words
  # shellcheck disable=SC2086
  expect_status 0 berth $words
done
expect_status 0 berth -o yaml gpu list
if command -v python3 >/dev/null && python3 -c 'import yaml' 2>/dev/null; then
  if python3 -c 'import sys, yaml; assert len(yaml.safe_load(sys.stdin)) == 2' <<<"$out"; then passed; else fail "not YAML"; fi
else
  say "YAML is not parsed: no python3-yaml"
fi

say "completion and man page"
expect_status 0 berth completion bash
# shellcheck disable=SC2016  # Expanded by the inner shell.
expect_status 0 bash -c '. <(printf "%s" "$1") && complete -p berth' bash "$out"
expect_status 0 berth completion zsh
expect_status 0 berth completion fish
expect_status 0 berth --man
if command -v man >/dev/null; then
  printf '%s\n' "$out" >"$work/berth.1"
  expect_status 0 man --warnings -l "$work/berth.1"
else
  [[ $out == *.TH* ]] && passed
fi

finish
