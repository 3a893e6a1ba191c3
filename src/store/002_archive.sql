-- What series did over the weeks that baselines learn from. A row holds one series over one run of
-- three hours: block values of five minutes as 32-bit floats, little endian, NaN where there was
-- none. `run` counts three hours since 1970. By run first, so that a run is written and forgotten
-- in one place of the file.
CREATE TABLE archive (
    run    INTEGER NOT NULL,
    series BLOB NOT NULL,
    blocks BLOB NOT NULL,
    PRIMARY KEY (run, series)
) STRICT, WITHOUT ROWID;
