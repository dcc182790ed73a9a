# What the examples share: a server and a receiver of its own, on free ports, in a directory of its own.
# With $secret the receiver verifies.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# TIDINGS names another binary than the one that is built here.
if [ -z "${TIDINGS:-}" ]; then
    (cd "$root" && cargo build --release --quiet)
fi
tidings=${TIDINGS:-$root/target/release/tidings}
dir=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap finish EXIT

# Waits until a file holds a line that matches, and prints what the pattern's group matched.
waits_for() {
    for _ in $(seq 200); do
        found=$(sed -nE "s|.*$2.*|\1|p" "$1" 2>/dev/null | head -1 || true)
        [ -n "$found" ] && { echo "$found"; return; }
        sleep 0.05
    done
    echo "no line of $1 matches $2" >&2
    cat "$1" >&2
    return 1
}

"$tidings" serve --listen 127.0.0.1:0 --data-dir "$dir/data" --egress-allow 127.0.0.0/8 \
    >"$dir/serve" 2>"$dir/log" &
pids+=($!)
api=$(waits_for "$dir/serve" 'listening on (http://[0-9.:]+)')
"$tidings" listen --port 0 --raw ${secret:+--secret "$secret"} >"$dir/received" 2>&1 &
pids+=($!)
receiver=$(waits_for "$dir/received" '(http://127\.0\.0\.1:[0-9]+)')

call() { curl -sS --fail-with-body -X "$1" "$api$2" -H 'content-type: application/json' ${3:+-d "$3"} && echo; }
# The first member of this name in a JSON answer.
member() { sed -nE "s/.*\"$1\":\"([^\"]+)\".*/\1/p"; }
