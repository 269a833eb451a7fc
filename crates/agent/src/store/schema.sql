-- Schema 1; what came later is in the files beside. Times are milliseconds since the epoch, except in `audit`, whose lines are kept as they are shown.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE grants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    program TEXT NOT NULL,
    account TEXT NOT NULL,
    resource TEXT NOT NULL,
    scopes TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('today', 'always')),
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    until INTEGER
) STRICT;

CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    program TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    event TEXT NOT NULL,
    code TEXT NOT NULL,
    program TEXT,
    account TEXT,
    resource TEXT,
    scope TEXT,
    via TEXT,
    prev TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- Who is, or was last, signed in: the secrets themselves are in the keychain.
-- kept: the keychain has it; memory: this agent alone has it; erasing: the keychain item is still to be deleted and
-- counts for nothing; ended: it is gone.
CREATE TABLE sign_ins (
    account TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('kept', 'memory', 'erasing', 'ended'))
) STRICT;

-- How often a refresh token (by its hash) was used without a durable answer.
CREATE TABLE attempts (
    account TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    uses INTEGER NOT NULL,
    started INTEGER NOT NULL,
    PRIMARY KEY (account, fingerprint)
) STRICT;
