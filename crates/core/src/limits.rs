//! The bounds that more than one module goes by, and those that docs/scale.md calls set, each with its unit
//! and its reason. What only one module goes by (how long it waits, how much it reads at once) stands at
//! its head.

use crate::time::{DAY_MS, HOUR_MS, SECOND_MS};

/// Request body of the API, bytes. Room for 1,000 events of a kilobyte.
pub const REQUEST_BODY_BYTES_MAX: usize = 1 << 20;
/// Events in one batch publish.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Deliveries of one such list: 40 MB while they are written, and a second; a million took 250 MB and 25 s.
/// One event has as many as there are webhooks.
pub const LIST_DELIVERIES_MAX: usize = 100_000;
/// Items of one page of a list, when it does not say, and at most.
pub const PAGE_ITEMS_DEFAULT: u32 = 50;
pub const PAGE_ITEMS_MAX: u32 = 250;
/// An event type, a client's event id, bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;
pub const CLIENT_ID_BYTES_MAX: usize = 128;
pub const ORDERING_KEY_BYTES_MAX: usize = 256;
/// `Idempotency-Key`, bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long a seen event id or idempotency key is remembered.
pub const SEEN_KEPT_MS: i64 = 7 * DAY_MS;
/// `deliver_at` and `expires_at` at most this far ahead.
pub const SCHEDULE_AHEAD_MS_MAX: i64 = 365 * DAY_MS;

/// Patterns of one webhook; its name; its custom headers.
pub const PATTERNS_MAX: usize = 100;
pub const NAME_CHARS_MAX: usize = 255;
pub const HEADERS_MAX: usize = 30;
pub const HEADER_NAME_BYTES_MAX: usize = 64;
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;
pub const HEADERS_BYTES_MAX: usize = 16 << 10;
/// Values in one filter list; custom filters of one webhook.
pub const FILTER_VALUES_MAX: usize = 100;
pub const CUSTOM_FILTERS_MAX: usize = 20;
/// Attempts in flight to one webhook, when it does not say, and at most.
pub const CONCURRENCY_DEFAULT: u32 = 64;
pub const CONCURRENCY_MAX: u32 = 1_000;
/// Leads go to services that take few at once: attempts in flight to one of them, and per second.
pub const LEAD_CONCURRENCY: u32 = 5;
pub const LEAD_RATE: u32 = 50;
/// Attempt timeout, milliseconds.
pub const TIMEOUT_MS_MIN: u32 = 100;
pub const TIMEOUT_MS_MAX: u32 = 120_000;
/// Overlap of a rotated secret.
pub const ROTATION_OVERLAP_MS_DEFAULT: i64 = DAY_MS;
pub const ROTATION_OVERLAP_MS_MAX: i64 = 7 * DAY_MS;
/// Public keys that a tenant publishes: the answer is some 250 bytes for each.
pub const PUBLISHED_KEYS_MAX: usize = 1_000;
/// Old secrets that still sign.
pub const SECRETS_MAX: usize = 5;

/// One transaction of the committer: rows, bytes.
pub const COMMIT_ROWS_MAX: usize = 2_000;
pub const COMMIT_BYTES_MAX: usize = 4 << 20;
/// What may wait for the committer before ingest answers 503. A large fan-out waits until its last slice.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 64 << 20;
pub const COMMIT_QUEUE_MS_MAX: i64 = 200;
/// Deliveries of one event in one transaction; a larger fan-out is written in slices.
pub const FANOUT_SLICE: usize = 1_000;

/// Connections that read, for people and for the queue: with those of a node that write, hold its lease and
/// make its days, all that it has on a database server.
pub const READERS: usize = 4;
pub const QUEUE_READERS: usize = 2;

/// FIFO lanes of an ordered webhook.
pub const ORDERED_LANES: u8 = 64;
/// How long the head of an ordered lane may hold the others.
pub const ORDER_HOLD_MS: i64 = HOUR_MS;

/// Attempts in flight over all webhooks: each is a socket and a task of some 20 KiB.
pub const ATTEMPTS_IN_FLIGHT_MAX: usize = 2_048;
/// The same when workers send: their sockets, and here a task of some 3 KiB beside the payload.
pub const RELEASES_MAX: usize = 16_384;
/// Requests that one worker has on the network: each is a socket and a task of some 20 KiB.
pub const WORKER_CAPACITY: usize = ATTEMPTS_IN_FLIGHT_MAX;
/// A request that was released waits so long for a worker, and none starts it later. Enough for a burst;
/// with what follows, five seconds at most until its owner sends it in another way: the grace, a quarter
/// until it looks, and a second before the webhook is tried again.
pub const RELEASE_WAIT_MS: i64 = 3 * SECOND_MS;
/// Requests of one group that an owner has waiting for a worker, bytes; one that is larger may wait alone.
/// With all 16 groups that is 8 MiB, or 16 if each request is as large as any: a line of 100 Mbit/s carries
/// them within [`RELEASE_WAIT_MS`], there and on to a worker. What has no room its owner sends.
pub const RELEASE_BYTES_MAX: usize = 512 << 10;
/// Requests of one owner that workers have, bytes: it holds what they carry until they come back. More it
/// sends itself.
pub const RELEASED_BYTES_MAX: usize = 64 << 20;
/// For the word that it was taken.
pub const RELEASE_GRACE_MS: i64 = SECOND_MS / 2;
/// Where nobody takes what is released, nothing is for so long: some seconds in each of these are lost.
pub const RELEASE_REST_MS: i64 = 30 * SECOND_MS;
/// A worker says so often that it is at a request still; one that has said nothing for three times as long
/// is gone.
pub const WORKER_SAYS_MS: i64 = SECOND_MS;
pub const WORKER_SILENT_MS: i64 = 3 * WORKER_SAYS_MS;
/// But none is at one for longer than the longest timeout, whatever is said: words that somebody repeats do
/// not hold a delivery up for ever.
pub const TAKEN_MS_MAX: i64 = TIMEOUT_MS_MAX as i64 + 10 * SECOND_MS;
/// Workers that are looked at. More than Redis has connections for.
pub const WORKERS_MAX: usize = 1_024;
/// A reply that nobody waits for is kept so long: the time in which a shard changes hands, and more.
pub const REPLY_KEPT_MS: i64 = 60 * SECOND_MS;
/// And so many of them at most, in each group: four times what an owner has released into one when it is
/// evenly spread.
pub const REPLIES_KEPT_MAX: usize = RELEASES_MAX / 4;
/// Outcomes not yet committed; beyond it no new attempt starts.
pub const UNSETTLED_MAX: usize = 20_000;
/// Rows of one lane and of all lanes in the dispatcher's memory; a row is 112 bytes, and 500 more
/// while it holds its event. A lane that overflows is read back from the store: with room for 512,
/// the bursts of one busy webhook did so all the time, which cost 2 % of the processor.
pub const LANE_ROWS_MAX: usize = 4_096;
pub const HELD_ROWS_MAX: usize = 100_000;
/// Payload bytes that rows in memory may hold; beyond it a payload is read at its attempt.
pub const HELD_BYTES_MAX: usize = 64 << 20;
/// Rows read for a lane at once, besides those that are given out and read again with them: with 256, most of
/// what was read was known, and reading a backlog took a tenth of the processor.
pub const PAGE_ROWS: usize = 1_024;
/// Lanes read in one statement, and rows of all of them, with their payloads.
pub const PAGES_AT_ONCE: usize = 64;
pub const PAGES_ROWS: usize = 2_048;
/// A payload up to this size comes along with its page.
pub const PAGE_PAYLOAD_BYTES_MAX: usize = 8 << 10;
/// An attempt older than this marks its webhook as slow: it stays out of the last quarter of the
/// slots, so that hung receivers cannot take them all.
pub const SLOW_ATTEMPT_MS: i64 = SECOND_MS;

/// Longest wait that a receiver's Retry-After can ask for.
pub const RETRY_AFTER_MS_MAX: i64 = DAY_MS;
/// Response body kept, characters; response headers kept, bytes.
pub const RESPONSE_BODY_CHARS_MAX: usize = 1_000;
pub const RESPONSE_HEADERS_BYTES_MAX: usize = 4_096;

/// Events that one step of a replay looks at: some milliseconds of reading, and one transaction.
pub const REPLAY_STEP_EVENTS: usize = 250;
/// Deliveries that a replay queues in a second, when it does not say, and at most.
pub const REPLAY_RATE_DEFAULT: u32 = 100;
pub const REPLAY_RATE_MAX: u32 = 10_000;
/// A replay looks at an event this long after it was accepted: longer than a publish waits for its
/// commit, so that none comes in behind it.
pub const REPLAY_YOUNG_MS: i64 = SECOND_MS;
/// Events that a dry run looks at; beyond it the count is a lower bound. Some seconds of reading.
pub const REPLAY_COUNTED_MAX: usize = 100_000;
/// Ended replays are kept so long.
pub const REPLAY_KEPT_MS: i64 = 30 * DAY_MS;

/// Events that a live stream can be resumed over; what they may take in memory, for one tenant and for
/// all, bytes. A tenant without listeners takes nothing.
pub const LIVE_EVENTS_MAX: usize = 1_000;
pub const LIVE_BYTES_MAX: usize = 4 << 20;
pub const LIVE_BYTES_ALL_MAX: usize = 128 << 20;
/// Ids are made before the commit, so an event can be committed behind one with a larger id. A stream
/// that is resumed by id goes back so far: the longest wait for a commit (200 ms), and much more.
pub const LIVE_OVERLAP_MS: i64 = SECOND_MS;
/// Open live streams of one tenant, and of all: each is a socket and a task.
pub const LISTENERS_MAX: usize = 2_000;
pub const LISTENERS_ALL_MAX: usize = 10_000;

/// Between two deliveries of the progress of one job to one place, when nobody says, and at most.
pub const PROGRESS_INTERVAL_MS_DEFAULT: u32 = 5_000;
pub const PROGRESS_INTERVAL_MS_MAX: u32 = HOUR_MS as u32;
/// A job's time, from its submission.
pub const JOB_TIMEOUT_MS_MIN: i64 = 100;
pub const JOB_TIMEOUT_MS_MAX: i64 = 30 * DAY_MS;
/// Names of a job: its type, its worker, its machine, its ids elsewhere; bytes.
pub const JOB_NAME_BYTES_MAX: usize = 255;
/// What a job is doing and what went wrong, for people; characters.
pub const JOB_STEP_CHARS_MAX: usize = 1_000;
pub const JOB_ERROR_CHARS_MAX: usize = 10_000;
/// Further fields of a job's events.
pub const JOB_DATA_FIELDS_MAX: usize = 100;
/// Clips that one report may name: each of them may be wrong in nine ways, and all of these are told.
pub const CLIPS_MAX: usize = 5_000;

/// Jobs of one execution, and what they wait for in all: every report is judged on the whole graph.
pub const EXECUTION_JOBS_MAX: usize = 1_000;
pub const EXECUTION_DEPENDENCIES_MAX: usize = 10_000;
/// Names and operations of a plan's jobs, the url of a result; bytes.
pub const PLAN_NAME_BYTES_MAX: usize = 128;
pub const RESULT_URL_BYTES_MAX: usize = 2_048;
/// Until an execution must have come to its end, when nobody says, and at most.
pub const EXECUTION_DEADLINE_MS_DEFAULT: i64 = DAY_MS;
pub const EXECUTION_DEADLINE_MS_MAX: i64 = 7 * DAY_MS;
