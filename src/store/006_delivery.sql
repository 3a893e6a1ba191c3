-- Messages learn to wait for a silence or quiet hours, to carry digests, to change what a
-- receiver already shows, and to say that somebody looks after an incident.

CREATE TABLE outbox_6 (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    receiver         TEXT NOT NULL,
    -- Of a digest: its own id.
    incident         TEXT NOT NULL,
    kind             TEXT NOT NULL DEFAULT 'alert'
                     CHECK (kind IN ('alert', 'digest', 'acknowledge')),
    -- The alert, digest or acknowledgement as JSON.
    alert            TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    -- Superseded: held, and something newer about the same incident took its place.
    state            TEXT NOT NULL DEFAULT 'pending'
                     CHECK (state IN ('pending', 'done', 'dead', 'superseded')),
    -- Not sent before, for this reason: a silence, quiet hours, maintenance.
    hold_until       INTEGER,
    held_by          TEXT,
    -- What holds it as well, and not longer: a list of pairs of end and reason as JSON.
    held_also        TEXT,
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    next_attempt_at  INTEGER NOT NULL,
    last_error       TEXT,
    done_at          INTEGER
) STRICT;
INSERT INTO outbox_6 (seq, id, receiver, incident, alert, created_at, state, attempts,
                      first_attempt_at, next_attempt_at, last_error, done_at)
    SELECT seq, id, receiver, incident, alert, created_at, state, attempts,
           first_attempt_at, next_attempt_at, last_error, done_at FROM outbox;
DROP VIEW readable_outbox;
DROP TABLE outbox;
ALTER TABLE outbox_6 RENAME TO outbox;
CREATE INDEX outbox_pending ON outbox (receiver, next_attempt_at) WHERE state = 'pending';
CREATE INDEX outbox_order ON outbox (receiver, incident, seq) WHERE state = 'pending';
CREATE INDEX outbox_by_state ON outbox (state, seq);
CREATE INDEX outbox_held ON outbox (hold_until) WHERE state = 'pending' AND hold_until IS NOT NULL;
CREATE INDEX outbox_done ON outbox (receiver, incident, seq) WHERE state = 'done';
CREATE INDEX outbox_dead ON outbox (receiver, incident, seq) WHERE state = 'dead';

-- Who hears of an incident, and of its end.
CREATE TABLE told_5 (
    incident     TEXT NOT NULL,
    receiver     TEXT NOT NULL,
    -- The first message that was delivered; none while none was.
    first        TEXT,
    -- What the receiver calls the newest message, for those that can be changed.
    handle       TEXT,
    -- When the newest message was delivered, or its repetition tried: what must be kept alive is
    -- repeated.
    delivered_at INTEGER,
    PRIMARY KEY (incident, receiver)
) STRICT, WITHOUT ROWID;
INSERT INTO told_5 (incident, receiver, first)
    SELECT incident, receiver,
           iif(first IN (SELECT id FROM outbox WHERE state != 'done'), NULL, first) FROM told;
DROP TABLE told;
ALTER TABLE told_5 RENAME TO told;

-- Who said first that an incident is looked after.
CREATE TABLE acknowledgements (
    incident TEXT PRIMARY KEY,
    at       INTEGER NOT NULL,
    "by"     TEXT
) STRICT, WITHOUT ROWID;

-- What can be drawn of an alert: JSON, compressed.
CREATE TABLE charts (
    alert TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Alerts that match are kept from receivers until the silence ends.
CREATE TABLE silences (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    matchers   TEXT NOT NULL,
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    comment    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    "by"       TEXT
) STRICT;
CREATE INDEX silences_by_end ON silences (ends_at);

-- What was noticed beside incidents, for the digest: what crept, what was held back, what fell
-- silent. A row for each time that it went on without a break.
CREATE TABLE notes (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    -- When it was noticed last.
    until   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    service TEXT NOT NULL,
    -- What it is about, within the service: a signal, an incident.
    subject TEXT NOT NULL,
    text    TEXT NOT NULL,
    UNIQUE (kind, service, subject, at)
) STRICT;
CREATE INDEX notes_by_time ON notes (until);

-- Digests that were told, newest last.
CREATE TABLE digests (
    id   TEXT PRIMARY KEY,
    at   INTEGER NOT NULL,
    json TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW readable_outbox AS
    SELECT receiver, state, attempts, last_error, held_by,
           datetime(hold_until / 1000, 'unixepoch') AS held_until,
           datetime(created_at / 1000, 'unixepoch') AS created,
           datetime(next_attempt_at / 1000, 'unixepoch') AS next_attempt,
           datetime(done_at / 1000, 'unixepoch') AS done,
           id
    FROM outbox ORDER BY seq DESC;
CREATE VIEW readable_silences AS
    SELECT number, matchers, comment, "by",
           datetime(starts_at / 1000, 'unixepoch') AS starts,
           datetime(ends_at / 1000, 'unixepoch') AS ends
    FROM silences ORDER BY number DESC;
