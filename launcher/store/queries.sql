-- name: insert_job
INSERT INTO jobs (
    id, uid, gid, user, name, image, pull_policy, credentials_uid, need, priority, submitted_at,
    time_limit, stop_grace, state, outcome, reason, message, attempt, slices, image_id,
    container_id, exit_code, started_at, ended_at, started_wall, cancelled_by, timed_out,
    never_started, held, begin_at, waits_for, depends_on, array_id, array_index, params, retries, warn,
    idle_timeout, preemptible, interactive, has_ports, again, stop_asked, retried, pulls_failed, policy_version,
    kill_now, spec, kept_bytes
) VALUES (
    :id, :uid, :gid, :user, :name, :image, :pull_policy, :credentials_uid, :need, :priority,
    :submitted_at, :time_limit, :stop_grace, :state, :outcome, :reason, :message, :attempt,
    :slices, :image_id, :container_id, :exit_code, :started_at, :ended_at, :started_wall,
    :cancelled_by, :timed_out, :never_started, :held, :begin_at, :waits_for, :depends_on, :array_id,
    :array_index, :params, :retries, :warn, :idle_timeout, :preemptible, :interactive, :has_ports, :again, :stop_asked, :retried,
    :pulls_failed, :policy_version, :kill_now, :spec, :kept_bytes
);

-- name: update_job
UPDATE jobs SET
    need = :need, priority = :priority, time_limit = :time_limit, state = :state, outcome = :outcome,
    reason = :reason, message = :message, attempt = :attempt, slices = :slices,
    image_id = :image_id, container_id = :container_id, exit_code = :exit_code,
    started_at = :started_at, ended_at = :ended_at, started_wall = :started_wall,
    cancelled_by = :cancelled_by, timed_out = :timed_out, never_started = :never_started,
    held = :held, begin_at = :begin_at, waits_for = :waits_for, again = :again,
    stop_asked = :stop_asked, retried = :retried, pulls_failed = :pulls_failed,
    kill_now = :kill_now
WHERE id = :id AND state <> 'DONE';

-- name: reopen_job
UPDATE jobs SET state = 'PENDING', outcome = NULL WHERE id = ? AND state = 'DONE';

-- name: insert_array
INSERT INTO arrays (id, uid, gid, user, name, size, max_parallel, indices, template, keys)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_use
INSERT INTO uses (uid, user, amount, at) VALUES (?, ?, ?, ?)
ON CONFLICT (uid) DO UPDATE SET
    user = excluded.user, amount = excluded.amount, at = excluded.at;

-- name: put_reservation
INSERT INTO reservations (name, slices, for_user, for_group, start_at, end_at, uid, gid, user)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: delete_reservation
DELETE FROM reservations WHERE name = ?;

-- name: put_private_image
INSERT INTO private_images (image_id, uid) VALUES (?, ?);

-- name: own_images
SELECT * FROM own_images;

-- name: put_own_image
INSERT OR REPLACE INTO own_images (uid, name, user, image_id, bytes, loaded_at)
VALUES (?, ?, ?, ?, ?, ?);

-- name: delete_own_image
DELETE FROM own_images WHERE uid = ? AND name = ?;

-- name: put_public_image
INSERT OR IGNORE INTO public_images (image_id) VALUES (?);

-- name: delete_public_image
DELETE FROM public_images WHERE image_id = ?;

-- name: public_images
SELECT image_id FROM public_images;

-- name: put_pull
INSERT OR IGNORE INTO pulls (reference, uid) VALUES (?, ?);

-- name: delete_pull
DELETE FROM pulls WHERE reference = ? AND uid = ?;

-- name: pulls
SELECT reference, uid FROM pulls;

-- name: delete_private_image
DELETE FROM private_images WHERE image_id = ?;

-- name: put_attempt
INSERT INTO attempts (
    job, number, container_name, slices, image_id, granted_at, container_id, started_at, ended_at,
    exit_code, oom, cause, boot, memory_peak_bytes, cpu_seconds, read_bytes, written_bytes,
    gpu_memory_peak_mib, gpu_activity_percent
) VALUES (
    :job, :number, :container_name, :slices, :image_id, :granted_at, :container_id, :started_at,
    :ended_at, :exit_code, :oom, :cause, :boot, :memory_peak_bytes, :cpu_seconds, :read_bytes,
    :written_bytes, :gpu_memory_peak_mib, :gpu_activity_percent
) ON CONFLICT (job, number) DO UPDATE SET
    granted_at = excluded.granted_at, container_id = excluded.container_id,
    started_at = excluded.started_at, ended_at = excluded.ended_at, exit_code = excluded.exit_code, oom = excluded.oom,
    cause = excluded.cause, boot = excluded.boot,
    memory_peak_bytes = excluded.memory_peak_bytes, cpu_seconds = excluded.cpu_seconds,
    read_bytes = excluded.read_bytes, written_bytes = excluded.written_bytes,
    gpu_memory_peak_mib = excluded.gpu_memory_peak_mib,
    gpu_activity_percent = excluded.gpu_activity_percent;

-- name: put_lease
INSERT INTO leases (
    job, attempt, slice_uuid, gpu_uuid, gpu_index, profile, profile_id, memory_mib, gi, ci,
    placement_start, placement_size, granted_at, released_at, quarantine
) VALUES (
    :job, :attempt, :slice_uuid, :gpu_uuid, :gpu_index, :profile, :profile_id, :memory_mib, :gi,
    :ci, :placement_start, :placement_size, :granted_at, :released_at, :quarantine
) ON CONFLICT (job, attempt, slice_uuid) DO UPDATE SET
    granted_at = excluded.granted_at, released_at = excluded.released_at,
    quarantine = excluded.quarantine;

-- name: put_quarantine
INSERT INTO quarantines (slice_uuid, why, lasting, since) VALUES (?, ?, ?, ?)
ON CONFLICT (slice_uuid) DO UPDATE SET
    why = excluded.why, lasting = excluded.lasting, since = excluded.since;

-- name: delete_quarantine
DELETE FROM quarantines WHERE slice_uuid = ?;

-- name: put_drain
INSERT INTO drains (uuid, reason, uid, gid, user, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (uuid) DO UPDATE SET
    reason = excluded.reason, uid = excluded.uid, gid = excluded.gid, user = excluded.user,
    at = excluded.at;

-- name: delete_drain
DELETE FROM drains WHERE uuid = ?;

-- name: put_made
INSERT INTO made (gpu_uuid, gi, profile_id, start) VALUES (?, ?, ?, ?)
ON CONFLICT (gpu_uuid, gi) DO UPDATE SET
    profile_id = excluded.profile_id, start = excluded.start;

-- name: delete_made
DELETE FROM made WHERE gpu_uuid = ? AND gi = ?;

-- name: made
SELECT * FROM made;

-- name: put_layout
INSERT INTO layouts (
    id, verb, request, uid, gid, user, asked_at, ended_at, state, result, message, document
) VALUES (
    :id, :verb, :request, :uid, :gid, :user, :asked_at, :ended_at, :state, :result, :message,
    :document
) ON CONFLICT (id) DO UPDATE SET
    ended_at = excluded.ended_at, state = excluded.state, result = excluded.result,
    message = excluded.message, document = excluded.document;

-- name: insert_history
INSERT INTO history (job, at, event, detail) VALUES (?, ?, ?, ?);

-- name: insert_audit
INSERT INTO audit (
    uid, nth, at, until, user, role, route, jobs, outcome, detail, count, policy_version
) VALUES (
    :uid, 1 + COALESCE((SELECT MAX(nth) FROM audit WHERE uid = :uid), 0), :at, :until, :user, :role,
    :route, :jobs, :outcome, :detail, :count, :policy_version
);

-- name: audit
SELECT * FROM audit WHERE until >= ? AND user = COALESCE(?, user) ORDER BY seq DESC LIMIT ?;

-- name: put_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: get_meta
SELECT value FROM meta WHERE key = ?;

-- name: next_id
SELECT 1 + MAX(
    COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0),
    COALESCE((SELECT MAX(id) FROM jobs), 0),
    COALESCE((SELECT MAX(id) FROM arrays), 0)
);

-- name: live_jobs
SELECT * FROM jobs INDEXED BY jobs_live WHERE state <> 'DONE' ORDER BY id;

-- name: live_arrays
SELECT id, uid, gid, user, name, size, max_parallel, indices FROM arrays WHERE id IN (
    SELECT array_id FROM jobs INDEXED BY jobs_live WHERE state <> 'DONE' AND array_id IS NOT NULL
);

-- name: array_ends
SELECT outcome, COUNT(*) AS n FROM jobs WHERE array_id = ? AND state = 'DONE' GROUP BY outcome;

-- name: array
SELECT id, uid, gid, user, name, size, max_parallel, indices FROM arrays WHERE id = ?;

-- name: uses
SELECT * FROM uses;

-- name: reservations
SELECT * FROM reservations;

-- name: private_images
SELECT * FROM private_images;

-- name: elements
SELECT * FROM jobs WHERE array_id = ? ORDER BY array_index;

-- name: elements_first
SELECT * FROM jobs WHERE id IN (
    SELECT id FROM jobs WHERE array_id = ? ORDER BY id LIMIT ?
) ORDER BY id;

-- name: element_counts
SELECT state, outcome, COUNT(*) AS n, MIN(id) AS first FROM jobs INDEXED BY jobs_by_array
WHERE array_id = ? GROUP BY state, outcome;

-- name: elements_page
SELECT * FROM jobs WHERE id IN (
    SELECT id FROM (
        SELECT id, CASE -- in the order of wire.ARRAY_PARTS
            WHEN outcome = 'COMPLETED' THEN 3
            WHEN outcome IS NOT NULL THEN 0
            WHEN state = 'PENDING' THEN 2
            ELSE 1
        END AS part FROM jobs INDEXED BY jobs_by_array WHERE array_id = :array
    )
    WHERE (:part IS NULL OR part = :part) AND id > :after ORDER BY part, id LIMIT :most
);

-- name: elements_between
SELECT * FROM jobs WHERE array_id = ? AND array_index BETWEEN ? AND ? ORDER BY array_index;

-- name: live_attempts
SELECT a.* FROM attempts a JOIN jobs j ON j.id = a.job AND j.attempt = a.number
WHERE j.state NOT IN ('PENDING', 'DONE');

-- name: live_leases
SELECT * FROM leases WHERE released_at IS NULL;

-- name: quarantines
SELECT slice_uuid, why, lasting, since FROM quarantines;

-- name: drains
SELECT * FROM drains;

-- name: open_layouts
SELECT * FROM layouts WHERE state <> 'done' ORDER BY id;

-- name: next_layout
SELECT 1 + COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'layouts'), 0);

-- name: layout
SELECT * FROM layouts WHERE id = ?;

-- name: layouts
SELECT * FROM layouts ORDER BY id DESC LIMIT ?;

-- name: job
SELECT * FROM jobs WHERE id = ?;

-- name: jobs_after
SELECT * FROM jobs WHERE id > ? ORDER BY id LIMIT ?;

-- name: jobs_between
SELECT * FROM jobs WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?;

-- name: elements_of
SELECT * FROM jobs INDEXED BY jobs_by_array
WHERE array_id BETWEEN :first AND :last AND (:uid IS NULL OR uid = :uid) LIMIT :most;

-- name: owners_between
SELECT id, uid FROM jobs WHERE id BETWEEN ? AND ?;

-- name: jobs_between_of_user
SELECT * FROM jobs INDEXED BY jobs_by_user WHERE uid = ? AND id BETWEEN ? AND ?
ORDER BY id LIMIT ?;

-- name: last_of_user
SELECT * FROM jobs INDEXED BY jobs_by_user WHERE uid = ? ORDER BY id DESC LIMIT 1;

-- name: jobs_of
SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?));

-- name: jobs_named
SELECT * FROM jobs WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_by_name WHERE name = ? ORDER BY id DESC LIMIT ?
) ORDER BY id DESC;

-- name: jobs_named_of_user
SELECT * FROM jobs INDEXED BY jobs_by_name WHERE name = ? AND uid = ? ORDER BY id DESC LIMIT ?;

-- name: spec
SELECT
    CASE j.spec WHEN '' THEN a.template ELSE j.spec END AS document,
    CASE j.spec WHEN '' THEN a.keys END AS keys,
    CASE j.spec WHEN '' THEN j.params END AS params
FROM jobs j LEFT JOIN arrays a ON a.id = j.array_id
WHERE j.id = ?;

-- name: specs_with_secrets
SELECT id, spec FROM jobs
WHERE id IN (SELECT value FROM json_each(?)) AND instr(spec, '"secrets":{');

-- name: templates_with_secrets
SELECT id, template FROM arrays
WHERE id IN (SELECT array_id FROM jobs WHERE id IN (SELECT value FROM json_each(?)))
AND instr(template, '"secrets":{');

-- name: live_specs_with_secrets
SELECT id, uid, spec FROM jobs INDEXED BY jobs_live
WHERE state <> 'DONE' AND instr(spec, '"secrets":{');

-- name: live_templates_with_secrets
SELECT id, template FROM arrays
WHERE id IN (SELECT array_id FROM jobs INDEXED BY jobs_live WHERE state <> 'DONE')
AND instr(template, '"secrets":{');

-- name: made_of_template
SELECT id, uid, state FROM jobs WHERE array_id = ? AND spec = '';

-- name: commands
SELECT
    id, CASE spec WHEN '' THEN NULL ELSE spec ->> '$.command' END AS command, params,
    CASE spec WHEN '' THEN array_id END AS template_of
FROM jobs WHERE id IN (SELECT value FROM json_each(?)) ORDER BY array_id;

-- name: commands_of_templates
SELECT id, template ->> '$.command' AS command, keys FROM arrays
WHERE id IN (SELECT value FROM json_each(?));

-- name: attempts_of
SELECT * FROM attempts WHERE job = ? ORDER BY number;

-- name: pulled_images
SELECT image_id, reference, uid, user, pulled_at, used_at, used_by FROM pulled_images;

-- name: put_pulled_image
INSERT OR REPLACE INTO pulled_images (image_id, reference, uid, user, pulled_at, used_at, used_by)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: delete_pulled_image
DELETE FROM pulled_images WHERE image_id = ?;

-- name: insert_event
INSERT INTO events (at, type, uid, user, data) VALUES (?, ?, ?, ?, ?);

-- name: events_after
SELECT seq, at, type, uid, user, data FROM events WHERE seq > ? ORDER BY seq LIMIT ?;

-- name: told_between
SELECT
    e.seq, e.at, e.type, e.uid, e.user, e.data, e.type = 'notify.test' AS of_user,
    CASE WHEN j.spec <> '' AND instr(j.spec, '"notify":') THEN j.spec -> '$.notify' END AS notify,
    CASE
        WHEN e.type = 'array.ended' THEN e.data ->> '$.id'
        WHEN j.spec = '' THEN j.array_id
    END AS array_id
FROM events e
LEFT JOIN jobs j ON e.type IN ('job.started', 'job.ended') AND j.id = e.data ->> '$.id'
WHERE e.seq > ? AND e.seq <= ?
    AND e.type IN ('job.started', 'job.ended', 'array.ended', 'notify.test')
ORDER BY e.seq;

-- name: notify_of_arrays
SELECT
    id, CASE WHEN instr(template, '"notify":') THEN template -> '$.notify' END AS targets
FROM arrays WHERE id IN (SELECT value FROM json_each(?));

-- name: notify_of_users
SELECT uid AS id, targets FROM notify_targets WHERE uid IN (SELECT value FROM json_each(?));

-- name: notify_is_wanted
SELECT EXISTS (SELECT 1 FROM notify_targets) OR EXISTS (
    SELECT 1 FROM jobs WHERE id > (SELECT MAX(id) FROM jobs) - 1000 AND instr(spec, '"notify":')
);

-- name: put_notify_targets
INSERT INTO notify_targets (uid, user, targets) VALUES (?, ?, ?);

-- name: delete_notify_targets
DELETE FROM notify_targets WHERE uid = ?;

-- name: insert_notify_failure
INSERT INTO notify_failures (at, uid, job, target, detail) VALUES (?, ?, ?, ?, ?);

-- name: notify_failures_of
SELECT at, uid, job, target, detail FROM notify_failures
WHERE job IN (SELECT value FROM json_each(?)) ORDER BY seq DESC LIMIT ?;

-- name: notify_failures_of_array
SELECT at, uid, job, target, detail FROM notify_failures f
WHERE uid = :uid AND (
    job = :array OR EXISTS (SELECT 1 FROM jobs WHERE id = f.job AND array_id = :array)
) ORDER BY seq DESC LIMIT :most;

-- name: notify_failures_of_user
SELECT at, uid, job, target, detail FROM notify_failures WHERE uid = ? ORDER BY seq DESC LIMIT ?;

-- name: bounds_of_events
SELECT COALESCE(MIN(seq), 1) AS first, COALESCE(MAX(seq), 0) AS last FROM events;

-- name: first_event_since
SELECT MIN(seq) AS seq FROM events WHERE at >= ?;

-- name: slice_memory_of
SELECT attempt, SUM(memory_mib) AS mib FROM leases WHERE job = ? GROUP BY attempt;

-- name: history_of
SELECT at, event, detail FROM history WHERE job = ? ORDER BY seq;

-- name: medians
WITH took AS (
    SELECT uid, name, (julianday(ended_at) - julianday(started_at)) * 86400.0 AS seconds
    FROM jobs NOT INDEXED WHERE id > (SELECT MAX(id) FROM jobs) - 100000
        AND outcome = 'COMPLETED' AND started_at IS NOT NULL AND ended_at >= started_at
        AND uid = COALESCE(?, uid)
), ranked AS (
    SELECT
        uid, name, seconds,
        ROW_NUMBER() OVER (PARTITION BY uid, name ORDER BY seconds) AS place,
        COUNT(*) OVER (PARTITION BY uid, name) AS n
    FROM took
)
SELECT uid, name, AVG(seconds) AS seconds FROM ranked
WHERE place IN ((n + 1) / 2, (n + 2) / 2) GROUP BY uid, name;

-- name: arrays_of_jobs
SELECT DISTINCT array_id FROM jobs
WHERE id IN (SELECT value FROM json_each(?)) AND array_id IS NOT NULL;

-- name: jobs_to_prune
SELECT
    id, uid, gid, user, name, image, outcome, COALESCE(reason, '') AS reason, need, submitted_at, begin_at,
    COALESCE(
        (SELECT at FROM history WHERE job = jobs.id ORDER BY seq DESC LIMIT 1), submitted_at
    ) AS ended,
    ended_at
FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND state = 'DONE';

-- name: past_runs
SELECT j.uid, j.user, j.name, j.outcome, j.time_limit,
    (julianday(j.ended_at) - julianday(j.started_at)) * 86400.0 AS seconds,
    a.gpu_memory_peak_mib, a.gpu_activity_percent,
    COUNT(l.slice_uuid) AS slices, COALESCE(SUM(l.memory_mib), 0) AS memory_mib,
    CASE WHEN MIN(l.profile) = MAX(l.profile) THEN MIN(l.profile) END AS profile
FROM (
    SELECT * FROM jobs NOT INDEXED
    WHERE id > (SELECT MAX(id) FROM jobs) - 100000 AND outcome IS NOT NULL
        AND uid = COALESCE(:uid, uid) AND user = COALESCE(:user, user)
        AND started_at IS NOT NULL AND ended_at >= started_at AND ended_at >= :since
    ORDER BY id DESC LIMIT :most
) j JOIN attempts a ON a.job = j.id AND a.number = j.attempt
LEFT JOIN leases l ON l.job = j.id AND l.attempt = j.attempt
GROUP BY j.id ORDER BY j.id DESC;

-- name: past_runs_of_name
SELECT j.uid, j.user, j.name, j.outcome, j.time_limit,
    (julianday(j.ended_at) - julianday(j.started_at)) * 86400.0 AS seconds,
    a.gpu_memory_peak_mib, a.gpu_activity_percent,
    COUNT(l.slice_uuid) AS slices, COALESCE(SUM(l.memory_mib), 0) AS memory_mib,
    CASE WHEN MIN(l.profile) = MAX(l.profile) THEN MIN(l.profile) END AS profile
FROM jobs j JOIN attempts a ON a.job = j.id AND a.number = j.attempt
LEFT JOIN leases l ON l.job = j.id AND l.attempt = j.attempt
WHERE j.id IN (
    SELECT id FROM jobs INDEXED BY jobs_by_name WHERE name = :name AND uid = :uid
    ORDER BY id DESC LIMIT :most
) AND j.outcome IS NOT NULL AND j.started_at IS NOT NULL AND j.ended_at >= j.started_at
    AND j.ended_at >= :since
GROUP BY j.id ORDER BY j.id DESC;

-- name: gpu_peaks
SELECT a.gpu_memory_peak_mib AS peak_mib, SUM(l.memory_mib) AS memory_mib
FROM jobs j JOIN attempts a ON a.job = j.id AND a.number = j.attempt
JOIN leases l ON l.job = j.id AND l.attempt = j.attempt
WHERE j.id IN (
    SELECT id FROM jobs INDEXED BY jobs_by_name
    WHERE name = :name AND uid = :uid AND outcome = 'COMPLETED' ORDER BY id DESC LIMIT :looked_at
) AND a.gpu_memory_peak_mib IS NOT NULL
GROUP BY j.id HAVING COUNT(*) = 1 ORDER BY j.id DESC LIMIT :most;

-- name: uses_of_job
SELECT a.number, a.granted_at, a.ended_at, l.profile, l.memory_mib, l.released_at
FROM attempts a LEFT JOIN leases l ON l.job = a.job AND l.attempt = a.number
WHERE a.job = ? ORDER BY a.number, l.slice_uuid;

-- name: usage_of_day
SELECT DISTINCT image, name FROM usage WHERE day = ? AND uid = ?;

-- name: usage_waits
SELECT waits FROM usage WHERE day = ? AND uid = ? AND gid = ? AND profile = ? AND image = ? AND name = ?
AND outcome = ? AND reason = ?;

-- name: add_usage
INSERT INTO usage (
    day, uid, gid, profile, image, name, outcome, reason, user, jobs, seconds, gib_seconds, waits
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, uid, gid, profile, image, name, outcome, reason) DO UPDATE SET
    user = excluded.user, jobs = jobs + excluded.jobs, seconds = seconds + excluded.seconds,
    gib_seconds = gib_seconds + excluded.gib_seconds, waits = excluded.waits;

-- name: usage
SELECT * FROM usage WHERE day >= :first AND day <= :last AND (:uid IS NULL OR uid = :uid)
ORDER BY day, uid;

-- name: has_usage
SELECT EXISTS (SELECT 1 FROM usage WHERE day = :day AND (:uid IS NULL OR uid = :uid));

-- name: jobs_used
SELECT
    j.id, j.uid, j.user, j.gid, j.name, j.image, j.state, j.outcome, j.reason, j.exit_code, j.attempt,
    j.need, j.submitted_at, j.started_at, j.ended_at, j.time_limit, j.array_id, j.array_index,
    MIN(a.granted_at) AS granted_at,
    MAX(a.memory_peak_bytes) AS memory_peak_bytes, SUM(a.cpu_seconds) AS cpu_seconds,
    SUM(a.read_bytes) AS read_bytes, SUM(a.written_bytes) AS written_bytes,
    MAX(a.gpu_memory_peak_mib) AS gpu_memory_peak_mib,
    MAX(a.gpu_activity_percent) AS gpu_activity_percent,
    (SELECT SUM(memory_mib) FROM leases l WHERE l.job = j.id AND l.attempt = j.attempt) AS slice_mib,
    (SELECT MIN(profile) FROM leases l WHERE l.job = j.id AND l.attempt = j.attempt) AS profile,
    (SELECT COUNT(*) FROM leases l WHERE l.job = j.id AND l.attempt = j.attempt) AS slices,
    (
        SELECT SUM(MAX(0, COALESCE(released_at, :now) - granted_at)) FROM leases l WHERE l.job = j.id
    ) AS held,
    CASE j.spec WHEN '' THEN t.template ELSE j.spec END ->> '$.mem_limit' AS mem_limit,
    CASE j.spec WHEN '' THEN t.template ELSE j.spec END ->> '$.cpus' AS cpus
FROM jobs j JOIN attempts a ON a.job = j.id LEFT JOIN arrays t ON t.id = j.array_id
WHERE j.id > :after AND (:uid IS NULL OR j.uid = :uid) AND (:user IS NULL OR j.user = :user)
    AND a.granted_at < :until
    AND CASE
        WHEN j.state <> 'DONE' THEN 1
        WHEN j.ended_at IS NOT NULL THEN j.ended_at >= :since_text
        ELSE COALESCE(
            (SELECT at FROM history WHERE job = j.id ORDER BY seq DESC LIMIT 1), j.submitted_at
        ) >= :since
    END
GROUP BY j.id ORDER BY j.id LIMIT :most;

-- name: put_capacity
INSERT INTO capacity (at, slices) VALUES (?, ?);

-- name: capacity_before
SELECT at, slices FROM capacity WHERE at < :until ORDER BY seq;

-- name: last_seen
SELECT MAX(at) FROM (
    SELECT CAST(value AS REAL) AS at FROM meta WHERE key = ?
    UNION ALL SELECT MAX(at) FROM capacity
    UNION ALL SELECT at FROM (SELECT at FROM history ORDER BY seq DESC LIMIT 1)
);

-- name: last_capacity
SELECT at, slices FROM capacity ORDER BY seq DESC LIMIT 1;

-- name: delete_history
DELETE FROM history WHERE job IN (SELECT value FROM json_each(?));

-- name: delete_leases
DELETE FROM leases WHERE job IN (SELECT value FROM json_each(?));

-- name: delete_attempts
DELETE FROM attempts WHERE job IN (SELECT value FROM json_each(?));

-- name: delete_jobs
DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND state = 'DONE';

-- name: delete_empty_arrays
DELETE FROM arrays WHERE id IN (SELECT value FROM json_each(?))
AND NOT EXISTS (SELECT 1 FROM jobs WHERE array_id = arrays.id) RETURNING id;

-- name: pruned_before
SELECT first, last, at FROM pruned WHERE first <= ? ORDER BY first DESC LIMIT 1;

-- name: put_pruned
INSERT INTO pruned (first, last, at) VALUES (?, ?, ?)
ON CONFLICT (first) DO UPDATE SET last = excluded.last, at = excluded.at;

-- name: forget_pruned
DELETE FROM pruned WHERE first IN (
    SELECT first FROM pruned ORDER BY at
    LIMIT max(0, (SELECT COUNT(*) FROM pruned) - ?)
);

-- name: submitted_from
SELECT id, submitted_at FROM jobs WHERE id >= ? ORDER BY id LIMIT 1;

-- name: old_jobs
SELECT id, array_id FROM jobs NOT INDEXED
WHERE id > :after AND id < :below AND state = 'DONE' AND array_id IS NULL
    AND COALESCE(
        (SELECT at FROM history WHERE job = jobs.id ORDER BY seq DESC LIMIT 1), submitted_at
    ) < :before
ORDER BY id LIMIT :most;

-- name: old_jobs_of_user
SELECT id, array_id FROM jobs INDEXED BY jobs_by_user
WHERE uid = :uid AND id > :after AND id < :below AND state = 'DONE' AND array_id IS NULL
    AND COALESCE(
        (SELECT at FROM history WHERE job = jobs.id ORDER BY seq DESC LIMIT 1), submitted_at
    ) < :before
ORDER BY id LIMIT :most;

-- name: old_arrays
SELECT id FROM arrays
WHERE id < :below AND (:uid IS NULL OR uid = :uid) AND NOT EXISTS (
    SELECT 1 FROM jobs INDEXED BY jobs_by_array
    WHERE array_id = arrays.id AND (
        state <> 'DONE' OR COALESCE(
            (SELECT at FROM history WHERE job = jobs.id ORDER BY seq DESC LIMIT 1), submitted_at
        ) >= :before
    )
) ORDER BY id;

-- name: elements_after
SELECT id, array_id FROM jobs WHERE array_id = :array AND id > :after ORDER BY id LIMIT :most;

-- name: tallies
SELECT word, jobs FROM tallies;

-- name: tables
SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name;

-- name: highest_id
SELECT COALESCE(MAX(id), 0) FROM jobs;

-- name: forget_sequence
DELETE FROM sqlite_sequence WHERE name = 'jobs';

-- name: put_sequence
INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?);

-- name: forget_machine
DELETE FROM meta;
