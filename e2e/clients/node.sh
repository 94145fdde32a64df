#!/usr/bin/env bash
# Installs the Node clients that the tests run unmodified, once, and prints the directory they are in. Which versions is
# in node/package-lock.json, with their hashes; where they come from is for npm's configuration to say. The tests of them
# are skipped where they are not installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# The same directory as Go's os.UserCacheDir, where the tests look.
case $(uname -s) in
  Darwin) cache=$HOME/Library/Caches ;;
  *) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
dir=$cache/millrace/clients/node

for tool in node npm; do
  command -v "$tool" >/dev/null || { echo "node.sh: there is no $tool on this machine" >&2; exit 1; }
done

current() { cmp -s "$here/node/package-lock.json" "$dir/installed.json"; }

if ! current; then
  mkdir -p "$dir"
  # Two checkouts may ask at the same time: one installs, the other waits for it.
  if command -v flock >/dev/null; then
    exec 9>"$dir/.lock"
    flock 9
  fi
  if ! current; then
    rm -f "$dir/installed.json"
    cp "$here/node/package.json" "$here/node/package-lock.json" "$dir/"
    # Nothing of what is installed runs a script here.
    (cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
    mv "$dir/package-lock.json" "$dir/installed.json"
  fi
fi
echo "$dir"
