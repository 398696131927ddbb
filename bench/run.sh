#!/usr/bin/env bash
# Prints each measurement beside its target and its reference. usage: bench/run.sh BUILD_DIR [arbiter|ledger]
set -euo pipefail
build=$1 only=${2:-}

# Decisions compute and nothing else: their CPU time is what they take on a quiet machine. Commits wait for the
# disk: their wall time counts.
results() { # PROGRAM cpu_time|real_time: "name nanoseconds" for each benchmark
  "$build/bench/$1_bench" --benchmark_format=json 2>/dev/null | jq -r --arg time "$2" '
    def ns: {"ns": 1, "us": 1000, "ms": 1000000}[.time_unit];
    .benchmarks[] | select(.run_type == "iteration") | "\(.name) \(.[$time] * ns)"'
}

row() { printf '%-34s %14s   %-22s %s\n' "$@"; }

calc() { awk "BEGIN { printf \"%.9f\", $1 }"; }

value() { awk -v name="$2" '$1 == name { print $2 }' <<<"$1"; }

verdict() { awk -v is="$1" -v limit="$2" 'BEGIN { print (is <= limit) ? "met" : "MISSED" }'; }

arbiter() {
  local all gpus limit took walk
  all=$(results arbiter cpu_time)
  for gpus in 2 64 1024; do
    case $gpus in
      2) limit=2000 ;;
      1024) limit=100000 ;;
      *) limit=0 ;;
    esac
    took=$(value "$all" "DecisionByIndex/$gpus")
    walk=$(value "$all" "DecisionByWalk/$gpus")
    if [ "$limit" = 0 ]; then
      row "decision, $gpus GPUs (CPU time)" "$(printf '%.2f us' "$(calc "$took/1000")")" "-" "by walk: $(printf '%.2f us' "$(calc "$walk/1000")")"
    else
      row "decision, $gpus GPUs (CPU time)" "$(printf '%.2f us' "$(calc "$took/1000")")" \
        "< $((limit / 1000)) us: $(verdict "$took" "$limit")" "by walk: $(printf '%.2f us' "$(calc "$walk/1000")")"
    fi
  done
  # From 64 to 1024 GPUs n log n grows by 16 * 10/6.
  local growth
  growth=$(calc "$(value "$all" DecisionByIndex/1024)/$(value "$all" DecisionByIndex/64)")
  row "growth, 64 to 1024 GPUs" "$(printf '%.1f times' "$growth")" "<= 26.7: $(verdict "$growth" 26.7)" "n log n"
}

ledger() {
  local all grant bare opened
  all=$(results ledger real_time)
  grant=$(value "$all" DurableGrant/real_time)
  bare=$(value "$all" BareSqlite/real_time)
  opened=$(value "$all" OpenHundredThousandEvents/real_time)
  row "durable grants" "$(printf '%.0f /s' "$(calc "1000000000/$grant")")" \
    "ratio >= 0.8: $(printf '%.2f' "$(calc "$bare/$grant")") $(verdict "$grant" "$(calc "$bare/0.8")")" \
    "bare SQLite: $(printf '%.0f /s' "$(calc "1000000000/$bare")")"
  row "opening 100,000 events" "$(printf '%.0f ms' "$(calc "$opened/1000000")")" \
    "< 1000 ms: $(verdict "$opened" 1000000000)" "-"
}

row "what" "measured" "target" "reference"
for part in arbiter ledger; do
  if [ -z "$only" ] || [ "$only" = "$part" ]; then "$part"; fi
done
