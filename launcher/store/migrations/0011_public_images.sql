-- Images that a registry gave without credentials, or that an admin published.
CREATE TABLE public_images (
    image_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Pulls with somebody's credentials that were started and have no end on record.
CREATE TABLE pulls (
    reference TEXT NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (reference, uid)
) STRICT, WITHOUT ROWID;
