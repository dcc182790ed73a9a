#!/usr/bin/env bash
# Two listeners hear the events that they want; one goes away, comes back, and has missed nothing.
source "$(dirname "$0")/../lib.sh"

publish() { call POST /api/events "{\"type\":\"$1\",\"data\":{\"n\":$2}}" >/dev/null; }
# Takes the place of the shell that runs it in the background, so that it can be ended.
listen() { exec curl -sSN "$api/api/live?types=order.*" ${2:+-H "Last-Event-ID: $2"} >"$1"; }
heard() { sed -nE 's/.*"type":"([^"]+)".*"data":\{"n":([0-9]+)\}.*/\1 \2/p' "$1"; }

listen "$dir/first" &
first=$!
pids+=($first)
"$tidings" tail --url "$api" 'order.*' >"$dir/tail" 2>"$dir/tail.log" &
pids+=($!)
# The stream begins with an id: from here on it hears.
waits_for "$dir/first" 'id: (evt_[0-9a-z]+)' >/dev/null
waits_for "$dir/tail.log" '(following)' >/dev/null
publish order.paid 1
publish lead.captured 9
publish order.paid 2
waits_for "$dir/first" '("n":2)' >/dev/null
heard "$dir/first" | sed 's/^/heard /'
waits_for "$dir/tail" '(order.paid)' >/dev/null
echo "tidings tail shows:"
cat "$dir/tail"

last=$(sed -nE 's/^id: (.*)/\1/p' "$dir/first" | tail -1)
kill "$first"
publish order.paid 3
publish order.paid 4
listen "$dir/second" "$last" &
pids+=($!)
waits_for "$dir/second" '("n":4)' >/dev/null
echo "and after the break: $(heard "$dir/second" | cut -d' ' -f2 | paste -sd, | sed 's/,/, /')"
