#!/usr/bin/env bash
# A GPU that fails takes no new claims and says why; the other one goes on; it comes back when it recovers, under MPS
# where it was under MPS, also when the daemon was killed meanwhile.
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
expect_status 0 berth unreserve vm1
expect_status 0 berth unreserve vm2

say "a GPU that is lost under MPS"
events_of() { "$berth" -o json events | jq "map(select(.kind | startswith(\"mps.\"))) | length"; }
expect_status 0 berth mps start
expect_status 0 berth sim fault 0 lost
expect_soon '.[0].state == "off" and .[1].state == "running"' mps status
expect_json 'map(.mode) == ["mps", "mps"]' berth gpu list
before=$(events_of)
expect_status 0 berth mps stop
expect_err "GPU 0 is left alone: it is lost"
expect_soon 'map(.state) == ["off", "off"]' mps status
expect_json 'map(.mode) == ["mps", "timeslice"]' berth gpu list
expect_status 3 berth mps stop --gpu 0
expect_err "GPU 0" "lost"
expect_status 0 berth mps start
expect_err "GPU 0 is left alone: it is lost"
expect_soon '.[0].state == "off" and .[1].state == "running"' mps status
expect_same "events of GPU 1's MPS alone" "$((before + 2))" "$(events_of)"

say "it comes back"
kill_daemon
start_daemon t4:2 || finish
expect_json '.[0].health == "lost"' berth gpu list
expect_status 0 berth sim fault 0 recover
expect_soon 'map(.health) == ["ok", "ok"]' gpu list
expect_soon 'map(.state) == ["running", "running"]' mps status
expect_status 0 berth mps stop
expect_soon 'map(.state) == ["off", "off"]' mps status

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

say "one that needs a reset does not heal by a restart of the daemon"
kill_daemon
start_daemon t4:2 || finish
expect_json '.[1].health == "unhealthy"' berth gpu list
expect_status 0 berth sim fault 1 lost
expect_soon '.[1].health == "lost"' gpu list
expect_status 0 berth sim fault 1 recover
expect_soon '.[1].health == "ok"' gpu list

finish
