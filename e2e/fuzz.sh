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
echo "$targets" | while read -r package name; do
  # Without a limit, making one interesting input smaller may take a minute.
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${each}s" -fuzzminimizetime 1s "$package" </dev/null
done
