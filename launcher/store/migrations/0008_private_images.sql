-- Images that were pulled with somebody's credentials: whose cached copies they are to run.
CREATE TABLE private_images (
    image_id TEXT NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (image_id, uid)
) STRICT, WITHOUT ROWID;
