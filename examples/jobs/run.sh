#!/usr/bin/env bash
# A job tells its callback of its start, its progress in a few words, and its end.
source "$(dirname "$0")/../lib.sh"

job=$(call POST /api/jobs "{\"job_type\":\"clipping\",\"callback_url\":\"$receiver/webhooks/clipping\",
  \"callback_secret\":\"shared\",\"external_job_id\":\"mine-1\",\"progress_interval_ms\":300}" | member job_id)
echo "submitted $job"
call PATCH "/api/jobs/$job" '{"status":"downloading","current_step":"Starting job processing"}' >/dev/null
for percent in $(seq 1 50); do
    call PATCH "/api/jobs/$job" "{\"status\":\"rendering\",\"progress_percent\":$percent}" >/dev/null
done
call PATCH "/api/jobs/$job" '{"status":"completed","output":{"total_clips":1}}' >/dev/null
waits_for "$dir/received" '"event":"(job.completed)"' >/dev/null
echo "50 reports of progress became $(grep -c '"event":"job.progress"' "$dir/received") requests:"
grep -oE '\{"(clips_completed|current_step)".*' "$dir/received"
