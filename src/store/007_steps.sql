-- Steps of incidents that somebody has done: told once, with who and when.
CREATE TABLE steps (
    incident TEXT NOT NULL,
    -- What identifies the step among those of its incident: made of its list and its text.
    step     TEXT NOT NULL,
    -- As it was shown: a step may be gone from the newest alert.
    text     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    "by"     TEXT,
    PRIMARY KEY (incident, step)
) STRICT, WITHOUT ROWID;

-- The incidents of one service in the order in which they are told.
CREATE INDEX incidents_by_service ON incidents (service, updated_at DESC, id);
