#!/usr/bin/env bash
# Runs every fuzz target of the module in the current directory for a few seconds each; they are
# found in the sources, so a new one needs no entry anywhere. FUZZ_SECONDS is the budget of all.
set -euo pipefail

budget=${FUZZ_SECONDS:-45}
targets=$(grep -rlE --include='*_test.go' '^func Fuzz[A-Z0-9_]' . | grep -v '^\./e2e/' | sort |
  while read -r file; do
    grep -oE '^func Fuzz[A-Za-z0-9_]*' "$file" | while read -r _ name; do
      echo "$(dirname "$file") $name"
    done
  done | sort -u)
[ -n "$targets" ] || { echo "fuzz.sh: no fuzz target found" >&2; exit 1; }

count=$(echo "$targets" | wc -l)
each=$((budget / count))
[ "$each" -ge 1 ] || each=1
echo "fuzz: $count targets, ${each}s each"

# fuzz runs one target. The fuzzer now and then reports the end of its own time as a failure
# ("context deadline exceeded"), without an input that fails; only that is tried again.
fuzz() {
  local out
  for _ in 1 2 3; do
    # Without a limit, making one interesting input smaller may take a minute.
    if out=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "${each}s" -fuzzminimizetime 1s "$1" </dev/null 2>&1); then
      echo "$out" | tail -n 1
      return 0
    fi
    if ! grep -q 'context deadline exceeded' <<<"$out" || grep -q 'Failing input written' <<<"$out"; then
      break
    fi
  done
  echo "$out"
  return 1
}

echo "$targets" | while read -r package name; do
  fuzz "$package" "$name"
done
