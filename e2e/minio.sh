#!/usr/bin/env bash
# Builds the S3 server that the tests run against, once, and prints the path of its binary.
# The binary itself says which version it was built from, so a new version here rebuilds it.
set -euo pipefail

version=v0.0.0-20260212201848-7aac2a2c5b7c
bin=${MILLRACE_MINIO:-}
if [ -n "$bin" ]; then
  [ -x "$bin" ] || { echo "minio.sh: MILLRACE_MINIO=$bin is not an executable file" >&2; exit 1; }
  echo "$bin"
  exit
fi

# The same directory as Go's os.UserCacheDir, where the tests look.
case $(uname -s) in
  Darwin) cache=$HOME/Library/Caches ;;
  *) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
dir=$cache/millrace/bin
bin=$dir/minio
built() {
  [ -x "$bin" ] || return 1
  case $(go version -m "$bin" 2>/dev/null) in
    *"github.com/minio/minio	$version"*) ;;
    *) return 1 ;;
  esac
}

if ! built; then
  mkdir -p "$dir"
  # Two checkouts may ask at the same time: one builds, the other waits for it.
  if command -v flock >/dev/null; then
    exec 9>"$dir/.lock"
    flock 9
  fi
  if ! built; then
    echo "minio.sh: building MinIO $version into $bin (once, about four minutes on two cores)" >&2
    tmp=$(mktemp -d "$dir/build.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    # Outside any module, so that neither go.mod nor a workspace has a say.
    (cd "$tmp" && GOWORK=off GOBIN="$tmp" CGO_ENABLED=0 go install -trimpath "github.com/minio/minio@$version") >&2
    mv "$tmp/minio" "$bin"
  fi
fi
echo "$bin"
