#!/bin/sh
# Leads, from their capture to the services that are to have them, in ten seconds and on this machine.
# Needs python3 and curl. TIDINGS names another binary than the one that is built here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${TIDINGS:-}" ]; then
    (cd "$here/../.." && cargo build --release --quiet)
fi
tidings=${TIDINGS:-$here/../../target/release/tidings}
dir=$(mktemp -d)
# Ends what was started here, by its number.
trap 'kill $server $services 2>/dev/null; rm -rf "$dir"' EXIT
server= services=

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
first_line() { while [ ! -s "$1" ]; do sleep 0.1; done; head -n 1 "$1"; }
post() { curl -sS "$api$1" -H 'content-type: application/json' -d "$2"; echo; }

python3 "$here/services.py" > "$dir/services" &
services=$!
TIDINGS_LISTEN=127.0.0.1:0 TIDINGS_DATA_DIR="$dir/data" TIDINGS_EGRESS_ALLOW=127.0.0.0/8 \
    "$tidings" serve > "$dir/server" 2> "$dir/log" &
server=$!
to=$(first_line "$dir/services")
api=$(first_line "$dir/server" | sed 's/.* //')

say "A lead that nobody knows yet, to a receiver of one's own: signed, in the format raw"
post /api/webhook-delivery '{"leadId": "test-lead-id", "webhookUrl": "'"$to"'/hook",
    "webhookSecret": "test-secret", "campaignName": "Test Campaign"}'

say "One that is captured first, and handed to Kit later: two calls, of which the second fails once"
post /api/leads '{"leadId": "ada", "campaignName": "Spring",
    "lead": {"email": "ada@example.com", "name": "Ada Lovelace", "tags": ["ebook"]}}'
post /api/webhook-delivery '{"leadId": "ada", "webhookUrl": "'"$to"'", "format": "convertkit",
    "options": {"api_key": "kit_1", "form_id": 217}, "retry_config": {"initial_delay_ms": 1000}}'

say "One that Kit could not take: refused, with a pointer to what is missing"
post /api/webhook-delivery '{"leadId": "nameless", "webhookUrl": "'"$to"'", "format": "convertkit",
    "lead": {"phone": "+44 20 7946 0958"}, "options": {"api_key": "kit_1"}}'

tries=0
until curl -sS "$api/api/leads/ada" | grep -q '"status":"webhook_sent"'; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$dir/log"; exit 1; }
    sleep 0.2
done

say "What the services saw"
tail -n +2 "$dir/services"
say "What became of it"
curl -sS "$api/api/leads" | tr '{' '\n' | sed -n 's/.*"id":"\([^"]*\)","status":"\([^"]*\)".*/\1: \2/p'
curl -sS "$api/api/webhook-delivery" | sed 's/.*"worker":/worker: /; s/}}$/}/'
