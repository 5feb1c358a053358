-- Images that a registry supplied without credentials, or that an admin published.
CREATE TABLE public_images (
    image_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Pulls with a user's credentials that were started and have no recorded end.
CREATE TABLE pulls (
    reference TEXT NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (reference, uid)
) STRICT, WITHOUT ROWID;
