-- Images that were pulled with a user's credentials, and the users who may run the cached copies.
CREATE TABLE private_images (
    image_id TEXT NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (image_id, uid)
) STRICT, WITHOUT ROWID;
