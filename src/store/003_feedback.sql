-- What people said about incidents, in order. The engine remembers in its own state up to which
-- number it has used them.
CREATE TABLE feedback (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    incident TEXT NOT NULL,
    verdict  TEXT NOT NULL CHECK (verdict IN ('useful', 'false', 'expected', 'duplicate')),
    cause    TEXT,
    note     TEXT,
    at       INTEGER NOT NULL,
    "by"     TEXT
) STRICT;
CREATE INDEX feedback_by_incident ON feedback (incident, number);

CREATE VIEW readable_feedback AS
    SELECT number, incident, verdict, cause, note,
           datetime(at / 1000, 'unixepoch') AS given, "by"
    FROM feedback ORDER BY number DESC;
