#!/usr/bin/env bash
# A diamond of jobs: what is runnable is run, and one webhook tells when all of it is over.
source "$(dirname "$0")/../lib.sh"

execution=$(call POST /api/execute "{\"executionPlan\":{\"jobs\":[
    {\"jobId\":\"source\",\"operation\":\"download\"},
    {\"jobId\":\"left\",\"operation\":\"trim\",\"dependencies\":[\"source\"]},
    {\"jobId\":\"right\",\"operation\":\"trim\",\"dependencies\":[\"source\"]},
    {\"jobId\":\"film\",\"operation\":\"concat\",\"dependencies\":[\"left\",\"right\"]}]},
  \"options\":{\"webhookUrl\":\"$receiver/done\",\"webhookSecret\":\"test-secret\"}}" | member executionId)
echo "runs $execution"
for job in source left right film; do
    call POST "/api/executions/$execution/jobs/$job" \
        "{\"status\":\"completed\",\"result\":{\"url\":\"https://cdn.example/$job.mp4\"}}" |
        sed -nE 's/.*"runnable":(\[[^]]*\]).*/  then runnable: \1/p'
done
waits_for "$dir/received" '(\{"executionId".*\})'
