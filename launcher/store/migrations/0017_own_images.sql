-- Images that users loaded themselves, by their names. Bounded by the quota image_bytes, and in number.
CREATE TABLE own_images (
    uid INTEGER NOT NULL,
    name TEXT NOT NULL,
    user TEXT NOT NULL,
    image_id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    loaded_at REAL NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;
