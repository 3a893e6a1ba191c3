-- Lists of incidents in the order in which they are told, so that a page costs what it holds.
CREATE INDEX incidents_by_update ON incidents (updated_at DESC, id);
CREATE INDEX incidents_open ON incidents (updated_at DESC, id) WHERE state <> 'resolved';
CREATE INDEX incidents_over ON incidents (updated_at DESC, id) WHERE state = 'resolved';

-- A change that is posted again with another end is a row of its own: ticks that are processed
-- again after a crash know the word that was newest then. The row with the highest number of an
-- `id` is the newest word; rows that it replaced stay until a snapshot has passed them.
DROP VIEW readable_changes;
CREATE TABLE words (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL,
    posted_at INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    ended_at  INTEGER,
    kind      TEXT NOT NULL,
    service   TEXT NOT NULL,
    what      TEXT NOT NULL
) STRICT;
INSERT INTO words SELECT number, id, posted_at, at, ended_at, kind, service, what FROM changes;
DROP TABLE changes;
ALTER TABLE words RENAME TO changes;
CREATE INDEX changes_by_time ON changes (at);
CREATE INDEX changes_by_id ON changes (id, number);

CREATE VIEW readable_changes AS
    SELECT id, kind, service, what,
           datetime(at / 1000, 'unixepoch') AS began,
           datetime(ended_at / 1000, 'unixepoch') AS ended,
           datetime(posted_at / 1000, 'unixepoch') AS posted
    FROM changes ORDER BY number DESC;
