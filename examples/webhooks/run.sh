#!/usr/bin/env bash
# A tenant's webhook with a filter: what it gets, what it does not, a rotated secret, and its figures.
secret=whsec_dGhlIG9sZCBzZWNyZXQgb2YgYSB3ZWJob29r
source "$(dirname "$0")/../lib.sh"

webhook=$(call POST /api/webhooks "{\"url\":\"$receiver/hook\",\"events\":[\"job.*\"],\"secret\":\"$secret\",
  \"filters\":{\"custom_filters\":{\"environment\":\"production\"}}}" | member id)
echo "registered $webhook: job.* of production"

publish() {
    call POST /api/events "{\"type\":\"$1\",\"data\":{\"job_id\":\"$2\",\"environment\":\"$3\"}}" |
        sed -nE "s/.*\"deliveries\":([0-9]+).*/$1 of $3: owed to \1/p"
}
publish job.completed job-1 production
publish job.completed job-2 staging
publish lead.captured job-3 production
waits_for "$dir/received" '(job-1)' >/dev/null

call POST "/api/webhooks/$webhook/rotate-secret" '{"overlap_ms":3600000}' >/dev/null
echo "its secret was rotated: for an hour both sign, so a receiver that knows the old one verifies"
publish job.failed job-4 production
waits_for "$dir/received" '(job-4)' >/dev/null
echo "what it got:"
grep -v receiving "$dir/received"
echo "its figures:"
for _ in $(seq 100); do
    figures=$(call GET "/api/webhooks/$webhook/stats")
    [[ $figures == *'"successful_deliveries":2'* ]] && break
    sleep 0.05
done
echo "$figures" | grep -oE '"(total|successful|failed)_deliveries":[0-9]+'
