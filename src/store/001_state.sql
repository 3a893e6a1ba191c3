-- The state of one grayflag. Times are milliseconds since 1970, UTC; the views at the end show
-- them as dates, for whoever opens this file by hand.

-- One row: how far the engine has come.
CREATE TABLE meta (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    last_tick INTEGER NOT NULL
) STRICT;

-- One row: the newest state of the engine. Ticks after `at` are processed again after a restart.
CREATE TABLE snapshot (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    at      INTEGER NOT NULL,
    version INTEGER NOT NULL,
    bytes   BLOB NOT NULL
) STRICT;

-- What is known of each incident now: its newest alert.
CREATE TABLE incidents (
    id         TEXT PRIMARY KEY,
    service    TEXT NOT NULL,
    severity   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('firing', 'updated', 'resolved')),
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    alert      TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_by_time ON incidents (state, updated_at);

-- Every alert that was decided, in order.
CREATE TABLE alerts (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    incident TEXT NOT NULL,
    at       INTEGER NOT NULL,
    json     TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_by_incident ON alerts (incident, seq);

-- One row for each message to one receiver.
CREATE TABLE outbox (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    receiver         TEXT NOT NULL,
    incident         TEXT NOT NULL,
    alert            TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    state            TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'dead')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    next_attempt_at  INTEGER NOT NULL,
    last_error       TEXT,
    done_at          INTEGER
) STRICT;
CREATE INDEX outbox_pending ON outbox (receiver, next_attempt_at) WHERE state = 'pending';
CREATE INDEX outbox_order ON outbox (receiver, incident, seq) WHERE state = 'pending';
CREATE INDEX outbox_by_state ON outbox (state, seq);

-- Who was told of an incident, and by which message first: they hear of its end.
CREATE TABLE told (
    incident TEXT NOT NULL,
    receiver TEXT NOT NULL,
    first    TEXT NOT NULL,
    PRIMARY KEY (incident, receiver)
) STRICT, WITHOUT ROWID;

CREATE VIEW readable_incidents AS
    SELECT id, service, severity, state,
           datetime(started_at / 1000, 'unixepoch') AS started,
           datetime(updated_at / 1000, 'unixepoch') AS updated,
           alert ->> 'title' AS title
    FROM incidents ORDER BY updated_at DESC;
CREATE VIEW readable_outbox AS
    SELECT receiver, state, attempts, last_error,
           datetime(created_at / 1000, 'unixepoch') AS created,
           datetime(next_attempt_at / 1000, 'unixepoch') AS next_attempt,
           datetime(done_at / 1000, 'unixepoch') AS done,
           id
    FROM outbox ORDER BY seq DESC;
