-- Schema 2: programs the user has blocked, by where their file lies (`broker::BlockKey`).
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    program TEXT NOT NULL UNIQUE,
    since INTEGER NOT NULL
) STRICT;
