#!/usr/bin/env bash
# Table A4 by the command line alone, every row; what enabling claims (A3), what elastic changes (B5), that a plan says
# the same and does nothing (B17), and that owners outlive the daemon (B8).
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq

# One step of the table: vm NAME, k8s. The plan before it must have the same exit status and change nothing.
step() { # STATUS vm NAME | k8s
  local wanted=$1 before after
  shift
  case $1 in
    vm) set -- reserve "$2" --gpus 1 ;;
    k8s) set -- kubernetes enable ;;
  esac
  before=$(picture)
  expect_status "$wanted" berth plan "$@"
  local planned=$err
  after=$(picture)
  expect_same "plan $* changes something" "$before" "$after"
  expect_status "$wanted" berth "$@"
  [ "$wanted" = 0 ] || expect_same "another answer than the plan's" "$planned" "$err"
  [ "$wanted" = 0 ] || expect_same "a refusal changes something" "$before" "$(picture)"
}

row() { # GPUS [OPTION...]
  say "on $*"
  fresh_state
  start_daemon "$@"
}

kubernetes_has() { expect_json ".enabled and (.gpus | length) == $1" berth kubernetes status; }

row t4:1
step 0 vm vm1
step 0 k8s
kubernetes_has 0
expect_owners vm

row t4:1
step 0 k8s
step 3 vm vm1
expect_err "GPU 0" "kubernetes" "berth kubernetes release 0"
kubernetes_has 1

row t4:2
step 0 vm vm1
step 0 k8s
kubernetes_has 1
say "and the third step of: VM, K8s, VM"
step 3 vm vm2
expect_err "GPU 0: held by reservation vm1" "GPU 1: owned by kubernetes"
kubernetes_has 1
expect_owners vm kubernetes
say "A reservation given back is free, and is claimed by nobody by itself"
expect_status 0 berth unreserve vm1
expect_owners free kubernetes
step 0 vm vm2
expect_owners vm kubernetes
expect_status 1 berth unreserve vm1

row t4:2
step 0 vm vm1
step 0 vm vm2
step 0 k8s
kubernetes_has 0
expect_owners vm vm

row t4:2
step 0 k8s
step 3 vm vm1
expect_err "GPU 0: owned by kubernetes" "GPU 1: owned by kubernetes"
kubernetes_has 2
say "A released GPU can be reserved"
expect_status 0 berth kubernetes release 1
step 0 vm vm1
expect_owners kubernetes vm

row t4:1
step 0 vm vm1
step 3 vm vm2
expect_err "vm1" "berth unreserve vm1"
expect_owners vm

row t4:2
say "A2: more GPUs than the device has"
expect_status 3 berth reserve big --gpus 3
expect_owners free free
expect_status 0 berth reserve big --gpus 2
say "A3: nothing free is a success with nothing"
step 0 k8s
kubernetes_has 0
say "B8: owners after kill -9 and a restart"
expect_status 0 berth unreserve big
step 0 vm vm1
before=$(owners)
kill_daemon
start_daemon t4:2
expect_same "owners after kill -9" "$before" "$(owners)"
expect_json '.enabled' berth kubernetes status

row t4:1 --arbitration elastic
say "B5: the order no longer matters"
step 0 k8s
step 0 vm vm1
kubernetes_has 0
expect_owners vm

row t4:2 --arbitration elastic
step 0 vm vm1
step 0 k8s
step 0 vm vm2
kubernetes_has 0
step 3 vm vm3
expect_err vm1 vm2

finish
