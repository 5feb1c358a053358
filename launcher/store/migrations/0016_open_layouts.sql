-- Several layout changes may be open, each of GPUs of its own, and one may be pending until a reboot.
CREATE TABLE new_layouts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    request TEXT NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    asked_at REAL NOT NULL,
    ended_at REAL,
    state TEXT NOT NULL CHECK (
        state IN ('waiting', 'pending', 'running', 'looking', 'rolling-back', 'done')
    ),
    result TEXT CHECK (result IN ('applied', 'failed', 'cancelled')),
    message TEXT,
    document TEXT NOT NULL,
    CHECK ((result IS NOT NULL) = (state = 'done'))
) STRICT;
INSERT INTO new_layouts SELECT * FROM layouts;
DROP TABLE layouts;
ALTER TABLE new_layouts RENAME TO layouts;

-- One change at a time is carried out, whatever the program does.
CREATE UNIQUE INDEX one_active_layout ON layouts ((1))
WHERE state IN ('running', 'looking', 'rolling-back');
CREATE INDEX open_layouts ON layouts (id) WHERE state <> 'done';

-- Only the last 10,000 layout changes are stored.
CREATE TRIGGER layouts_are_bounded AFTER INSERT ON layouts
BEGIN
    DELETE FROM layouts WHERE id <= NEW.id - 10000 AND state = 'done';
END;
