-- Changes that somebody posted: deploys, flags, maintenance. `number` rises, and rises again when
-- the end of a change becomes known, so that the engine takes each word once.
CREATE TABLE changes (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL UNIQUE,
    posted_at INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    ended_at  INTEGER,
    kind      TEXT NOT NULL,
    service   TEXT NOT NULL,
    what      TEXT NOT NULL
) STRICT;
CREATE INDEX changes_by_time ON changes (at);

CREATE VIEW readable_changes AS
    SELECT id, kind, service, what,
           datetime(at / 1000, 'unixepoch') AS began,
           datetime(ended_at / 1000, 'unixepoch') AS ended,
           datetime(posted_at / 1000, 'unixepoch') AS posted
    FROM changes ORDER BY number DESC;
