#!/usr/bin/env bash
# Both ends of a callback: a worker's server reports, ours follows and tells the owner of the job.
source "$(dirname "$0")/../lib.sh"

# The server that lib.sh has started is the worker's. This one is ours.
TIDINGS_INBOUND='[{name = "clipping", kind = "clipping", scheme = "viewcreator", secrets = ["shared"]}]' \
    TIDINGS_MEDIA_CDN_DOMAIN=cdn.example.com \
    "$tidings" serve --listen 127.0.0.1:0 --data-dir "$dir/ours" >"$dir/ours.out" 2>"$dir/ours.log" &
pids+=($!)
ours=$(waits_for "$dir/ours.out" 'listening on (http://[0-9.:]+)')
python3 "$(dirname "$0")/notifications.py" "$ours" user_789 >"$dir/notified" 2>&1 &
pids+=($!)
waits_for "$dir/notified" '(listens)' >/dev/null

here=$(api=$ours call POST /api/jobs '{"job_type":"clipping","owner_user_id":"user_789"}' | member job_id)
there=$(call POST /api/jobs "{\"job_type\":\"clipping\",\"external_job_id\":\"$here\",
  \"callback_url\":\"$ours/webhooks/clipping\",\"callback_secret\":\"shared\",\"progress_interval_ms\":0}" |
    member job_id)
echo "submitted $here, which the worker calls $there"

# The worker reports to its own server, which calls back.
report() {
    call PATCH "/api/jobs/$there" "$1" >/dev/null
    for _ in $(seq 200); do
        api=$ours call GET "/api/jobs/$here" | grep -E "$2" >/dev/null && return
        sleep 0.05
    done
    echo "no callback has come" >&2 && cat "$dir/ours.log" >&2 && return 1
}
report '{"status":"downloading","current_step":"Starting job processing"}' '"stage":"downloading"'
for percent in 15 19 42 47 88; do
    report "{\"status\":\"rendering\",\"progress_percent\":$percent,\"current_step\":\"Rendering\"}" \
        "\"progress_percent\":$percent"
done
clip() {
    echo "{\"clip_index\":$1,\"s3_url\":\"https://media.s3.eu-west-1.amazonaws.com/clips/$1.mp4\",
      \"duration_ms\":45000,\"start_time_ms\":0,\"end_time_ms\":45000,\"virality_score\":0.92,
      \"layout_type\":\"talking_head\"}"
}
report "{\"status\":\"completed\",\"output\":{\"job_id\":\"$there\",\"source_video_url\":\"https://video.example/1\",
  \"source_video_title\":\"My Amazing Video\",\"source_video_duration_seconds\":1847.5,\"total_clips\":2,
  \"clips\":[$(clip 0),$(clip 1)],\"processing_time_seconds\":482.5,\"created_at\":\"2026-11-22T10:38:00Z\"}}" \
    '"status":"completed"'
waits_for "$dir/notified" '(clipping.completed)' >/dev/null

echo "its owner was told, of progress when another 10 % had been passed:"
grep '"type"' "$dir/notified"
echo "its clips:"
api=$ours call GET "/api/jobs/$here/clips" | grep -oE '"s3_url":"[^"]*"'
