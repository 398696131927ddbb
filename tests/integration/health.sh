#!/usr/bin/env bash
# A GPU that fails takes no new claims and says why; the other one goes on; it comes back when it recovers.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq

start_daemon t4:2 || finish
expect_status 0 berth sim fault 0 lost
expect_soon '.[0].health == "lost" and .[1].health == "ok"' gpu list
expect_status 0 berth reserve vm1 --gpus 1
expect_owners free vm
expect_status 3 berth reserve vm2 --gpus 1
expect_err "GPU 0" "lost" "vm1"
expect_status 0 berth sim fault 0 recover
expect_soon 'map(.health) == ["ok", "ok"]' gpu list
expect_status 0 berth reserve vm2 --gpus 1
expect_owners vm vm

finish
