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

say "what the driver reports makes a GPU unhealthy, or is just seen"
fresh_state
start_daemon t4:2 || finish
expect_status 0 berth sim fault 0 thermal 94
expect_soon '.gpus[0].sample.temperatureC == 94' status
expect_status 0 berth sim fault 0 hang
expect_json '.[0].hung and (.[1].hung | not)' berth sim status
expect_status 0 berth sim fault 0 xid 31
expect_soon 'any(.[]; .kind == "gpu.xid")' events
expect_json 'map(.health) == ["ok", "ok"]' berth gpu list
expect_status 0 berth sim fault 0 xid 48
expect_status 0 berth sim fault 1 ecc 3
expect_soon 'map(.health) == ["unhealthy", "unhealthy"]' gpu list
expect_json '.[0].healthReason | test("XID 48")' berth gpu list
expect_json '.[1].healthReason | test("ECC")' berth gpu list
expect_status 3 berth reserve vm1 --gpus 1
expect_err "GPU 0" "GPU 1" "XID 48" "ECC"

finish
