#!/usr/bin/env bash
# The main job on the public manifests, unchanged: two containers share GPU 0, time-sliced and under MPS, with the
# published results (appliance.md 5.3); MPS outlives the daemon (B8, B16), and is not switched under containers (A16).
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq
need_shared_samples
need_engine
k8s=$shared_samples/k8s
iot=$shared_samples/iotedge/iotedge-gpu-sharing.deployment.json

gflops() { "$berth" workload logs "$1" 2>/dev/null | grep -oE '[0-9.]+ single-precision GFLOP/s' | cut -d' ' -f1; }

# within WHAT GOT WANTED TOLERANCE
within() {
  if awk -v got="${2:-0}" -v want="$3" -v most="$4" 'BEGIN {d = got - want; exit !((d < 0 ? -d : d) <= most)}'; then
    passed
  else
    fail "$1: ${2:-nothing}, wanted $3 +- $4"
  fi
}

# Runs the file's two jobs to their end; the results in $first and $second. Each has so much memory while it runs.
run_jobs() { # FILE NAME1 NAME2 MIB
  expect_status 0 berth apply -f "$1"
  expect_json 'map(.berths | length) == [2, 0]' berth gpu list
  expect_soon "[.processes[] | select(.name | test(\"nbody\")) | .memoryMiB] == [$4, $4]" gpu show 0
  expect_soon 'map(.state) == ["succeeded", "succeeded"]' berth workload list
  expect_json 'all(.[].containers[]; .exitCode == 0)' berth workload list
  first=$(gflops "$2")
  second=$(gflops "$3")
  say "$2 $first, $3 $second GFLOP/s"
}

none_left() {
  expect_json '. == []' berth workload list
  expect_json 'all(.[]; .owner.kind == "free" and .berths == [])' berth gpu list
}

start_daemon t4:2 || finish
say "time-sliced"
run_jobs "$k8s/k8-gpusharing.yaml" cuda-sample1 cuda-sample2 109
within "time-sliced, first" "$first" 1969 59
within "time-sliced, second" "$second" 1969 59
sliced=$first
expect_json 'all(.[]; .owner.kind == "free" and .berths == [])' berth gpu list
expect_status 0 berth delete -f "$k8s/k8-gpusharing.yaml"
none_left

say "under MPS"
expect_status 0 berth mps start
expect_soon 'map(.state) == ["running", "running"]' berth mps status
run_jobs "$k8s/k8-gpusharing.yaml" cuda-sample1 cuda-sample2 107
within "MPS, first" "$first" 2165 65
within "MPS, second" "$second" 2165 65
awk -v a="$sliced" -v b="$first" 'BEGIN {printf "-- MPS gives %+.1f %%\n", (b / a - 1) * 100}'
expect_status 0 berth delete -f "$k8s/k8-gpusharing.yaml"

say "20 % each"
run_jobs "$k8s/k8-gpusharing-mps20.ADAPTED.yaml" cuda-sample1-mps20 cuda-sample2-mps20 107
within "20 %, first" "$first" 866 87
within "20 %, second" "$second" 866 87
expect_status 0 berth delete -f "$k8s/k8-gpusharing-mps20.ADAPTED.yaml"
none_left

say "MPS after kill -9: the same control daemon, and on where it was on"
before=$("$berth" -o json mps status | jq -c 'map([.gpu, .pid, .state])')
kill_daemon
start_daemon t4:2 || finish
expect_soon 'map(.state) == ["running", "running"]' berth mps status
expect_same "MPS after a restart" "$before" "$("$berth" -o json mps status | jq -c 'map([.gpu, .pid, .state])')"

say "IoT Edge modules, and MPS under running containers"
expect_status 0 berth apply -f "$iot"
expect_soon 'map(.state) == ["running", "running"] and all(.[].containers[]; .gpu == 0)' berth workload list
# shellcheck disable=SC2317  # Called by wait_until.
has_result() { [ -n "$(gflops "$1")" ]; }
for module in cuda-sample1 cuda-sample2; do
  if wait_until "$wait_s" has_result "$module"; then passed; else fail "$module printed no result"; fi
done
before=$(picture)
expect_status 3 berth mps stop
expect_err "GPU 0" cuda-sample1
expect_same "a refused mps stop changes something" "$before" "$(picture)"
expect_status 0 berth mps stop --restart
expect_json 'map(.state) == ["off", "off"]' berth mps status
expect_soon 'map(.state) == ["running", "running"] and all(.[].containers[]; .mode == "timeslice")' berth workload list
expect_status 0 berth delete -f "$iot"
none_left
expect_same "containers left" "" "$(our_containers -a)"

finish
