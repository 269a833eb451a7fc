-- Schema 4: where the audit log begins once old lines were taken out of it, from when its lines are, and how far it was exported.

-- One row once something was taken out: the first line that is left, and the hash it goes on from.
CREATE TABLE audit_start (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    first INTEGER NOT NULL,
    prev TEXT NOT NULL
) STRICT;

-- The newest time among the 1024 lines from `block` * 1024 on; for whole blocks only. So `--since` finds its place without
-- an index that every new line would have to be put into.
CREATE TABLE audit_blocks (block INTEGER PRIMARY KEY, newest TEXT NOT NULL) STRICT;

-- The last line each target was given.
CREATE TABLE audit_exports (target TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
