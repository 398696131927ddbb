#!/usr/bin/env bash
# Prints each measurement beside its target and its reference. usage: bench/run.sh BUILD_DIR [arbiter|service|ledger|daemon|guard]
#
# All times are wall time, over several repetitions in this one run: the best one, which other programs on the machine
# disturb least, and in brackets the median. The best one is held against the target. Ratios to a reference are between
# medians, of repetitions that take turns.
set -euo pipefail
build=$1 only=${2:-}

# "name best median" of each benchmark, in nanoseconds; with a third argument, of that counter.
results() { # PROGRAM REPETITIONS [COUNTER]
  "$build/bench/$1_bench" --benchmark_format=json --benchmark_repetitions="$2" --benchmark_min_time=0.05 \
    --benchmark_enable_random_interleaving=true 2>/dev/null | jq -r '
    def ns: {"ns": 1, "us": 1000, "ms": 1000000}[.time_unit];
    [.benchmarks[] | select(.run_type == "iteration")
      | {name: (.run_name | split("/iterations:")[0] | split("/real_time")[0]), time: (.real_time * ns), resident}]
    | group_by(.name)[] | (map(.time) | sort) as $times
    | "\(.[0].name) \($times[0]) \($times[length / 2 | floor])", (.[0] | select(.resident) | "resident \(.resident) \(.resident)")'
}

row() { printf '%-36s %20s   %-24s %s\n' "$@"; }

calc() { awk "BEGIN { printf \"%.9f\", $1 }"; }

best() { awk -v name="$2" '$1 == name { print $2 }' <<<"$1"; }
median() { awk -v name="$2" '$1 == name { print $3 }' <<<"$1"; }

verdict() { awk -v is="$1" -v limit="$2" 'BEGIN { print (is <= limit) ? "met" : "MISSED" }'; }

# "1.23 us (1.30)"
shown() { # RESULTS NAME NANOSECONDS-A-UNIT UNIT
  awk -v name="$2" -v per="$3" -v unit="$4" '$1 == name { printf "%.2f %s (%.2f)", $2 / per, unit, $3 / per }' <<<"$1"
}

timed() { # WHAT RESULTS NAME NANOSECONDS-A-UNIT UNIT LIMIT REFERENCE
  row "$1" "$(shown "$2" "$3" "$4" "$5")" "< $6 $5: $(verdict "$(best "$2" "$3")" "$(calc "$6*$4")")" "$7"
}

arbiter() {
  local all growth
  all=$(results arbiter 9)
  timed "decision, 2 GPUs" "$all" DecisionByIndex/2 1000 us 2 "by walk: $(shown "$all" DecisionByWalk/2 1000 us)"
  row "decision, 64 GPUs" "$(shown "$all" DecisionByIndex/64 1000 us)" "-" "by walk: $(shown "$all" DecisionByWalk/64 1000 us)"
  timed "decision, 1024 GPUs" "$all" DecisionByIndex/1024 1000 us 100 "by walk: $(shown "$all" DecisionByWalk/1024 1000 us)"
  # From 64 to 1024 GPUs n log n grows by 16 * 10/6.
  growth=$(calc "$(best "$all" DecisionByIndex/1024)/$(best "$all" DecisionByIndex/64)")
  row "growth, 64 to 1024 GPUs" "$(printf '%.1f times' "$growth")" "<= 26.7: $(verdict "$growth" 26.7)" "n log n"
}

service() {
  local all
  all=$(results service 9)
  timed "decision at the desk, 2 GPUs" "$all" DecisionAtTheDesk/2 1000 us 100 "-"
  timed "decision at the desk, 1024 GPUs" "$all" DecisionAtTheDesk/1024 1000 us 100 \
    "with the copy of the book: $(shown "$all" Rehearsal/1024 1000 us)"
}

ledger() {
  local all ratio
  all=$(results ledger 5)
  ratio=$(calc "$(median "$all" BareSqlite)/$(median "$all" DurableGrant)")
  row "durable grants" "$(printf '%.0f /s' "$(calc "1000000000/$(median "$all" DurableGrant)")")" \
    "ratio >= 0.8: $(printf '%.2f' "$ratio") $(verdict 0.8 "$ratio")" \
    "bare SQLite: $(printf '%.0f /s' "$(calc "1000000000/$(median "$all" BareSqlite)")")"
  timed "opening 100,000 events" "$all" OpenHundredThousandEvents 1000000 ms 1000 "-"
}

daemon() {
  local all resident
  all=$(results daemon 1)
  timed "berthd ready, 2 GPUs" "$all" DaemonReady 1000000 ms 200 "-"
  timed "berth status" "$all" BerthStatus 1000000 ms 20 "/bin/true: $(shown "$all" StartNothing 1000000 ms)"
  resident=$(best "$all" resident)
  row "berthd, resident" "$(printf '%.1f MiB' "$(calc "$resident/1048576")")" \
    "< 50 MiB: $(verdict "$resident" $((50 * 1048576)))" "-"
}

# Calls through the guard on a driver whose calls return at once, beside the same calls without it. BERTH_BENCH_PRELOAD
# names another preload library to be measured in the same run.
guard_calls() {
  local null_gpu=GPU-00000000-0000-0000-0000-000000000000 bare free limited other=""
  local run=$build/guard/guard_run calls=$build/bench/guard_calls
  local -x LD_LIBRARY_PATH=$build/bench/null-driver
  bare=$("$calls")
  free=$("$run" --gpu "$null_gpu" "$calls")
  limited=$("$run" --gpu "$null_gpu" --memory 15000 --compute 500 "$calls")
  [ -z "${BERTH_BENCH_PRELOAD:-}" ] || other=$(LD_PRELOAD=$BERTH_BENCH_PRELOAD "$calls")
  local from name limit title
  while read -r from name limit title; do
    local with added reference
    with=$(best "$limited" "$name")
    if [ "$from" = free ]; then with=$(best "$free" "$name"); fi
    added=$(calc "$with-$(best "$bare" "$name")")
    reference="bare: $(printf '%.1f ns' "$(best "$bare" "$name")")"
    [ -z "$other" ] || reference+=", other library adds $(printf '%.1f ns' "$(calc "$(best "$other" "$name")-$(best "$bare" "$name")")")"
    row "$title" "$(printf '+%.1f ns' "$added")" "< $limit ns: $(verdict "$added" "$limit")" "$reference"
  done <<'TEXT'
free launch 4 guard: launch, no limit
limited launch 25 guard: launch, limited
limited pair-10 60 guard: pair, 10 live
limited pair-100000 60 guard: pair, 100,000 live
limited query 100 guard: memory query
TEXT
}

# loads SECONDS "PERMILLE PATTERN"...: containers of these shares on one simulated T4 at once; prints what each got, in
# permille, over all but the first second.
loads() {
  local seconds=$1 start turn=1 i=0 spec permille pattern
  local -x BERTH_SIM_DIR
  shift
  BERTH_SIM_DIR=$(mktemp -d)/gpus
  "$build/simdriver-root/bin/berth-sim" create "$BERTH_SIM_DIR" t4:1 >/dev/null
  start=$(awk '{ printf "%d000000", $1 * 1000 + 700 }' /proc/uptime)
  for spec in "$@"; do
    read -r permille pattern <<<"$spec"
    LD_LIBRARY_PATH=$build/simdriver-root/lib "$build/guard/guard_run" --compute "$permille" --turn "$turn" \
      "$build/bench/guard_load" "$pattern" 2000 "$start" "$seconds" >"$BERTH_SIM_DIR.$i" &
    turn=$((turn + permille)) i=$((i + 1))
  done
  wait
  for spec in $(seq 0 $((i - 1))); do
    awk '{ for (k = 102; k <= NF; k++) { sum += $k; n++ } printf "%.0f ", sum / n / 10 }' "$BERTH_SIM_DIR.$spec"
  done
  rm -rf "$(dirname "$BERTH_SIM_DIR")"
}

shares() { # TITLE "PERMILLE PATTERN"...
  local title=$1 got
  shift
  got=$(loads 11 "$@")
  row "guard: $title" "$got" "$(printf '%s ' "${@%% *}")" "permille, asked beside got"
}

guard() {
  guard_calls
  local small large
  read -r small large <<<"$(loads 11 "100 plain" "900 plain")"
  row "guard: 10:90" "1:$(printf '%.2f' "$(calc "$large/$small")")" "1:8.5 to 1:9.5" "$small and $large permille"
  read -r small large <<<"$(loads 11 "100 graph" "900 graph")"
  row "guard: 10:90 by graphs" "1:$(printf '%.2f' "$(calc "$large/$small")")" "1:8.5 to 1:9.5" "$small and $large permille"
  shares "50:50" "500 plain" "500 plain"
  shares "33:33:33" "333 plain" "333 plain" "333 plain"
  shares "20:30:50" "200 plain" "300 plain" "500 plain"
  shares "cooperative" "300 cooperative" "700 plain"
  shares "bursty" "300 bursty" "700 plain"
  shares "modest and greedy" "500 modest" "500 plain"
}

row "what" "best (median)" "target" "reference"
for part in arbiter service ledger daemon guard; do
  if [ -z "$only" ] || [ "$only" = "$part" ]; then "$part"; fi
done
