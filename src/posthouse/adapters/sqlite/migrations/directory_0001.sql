-- Who we deliver for and who may log in (docs/internals.md "Directory"). Times are seconds since 1970.
-- domain: A-labels in lower case; local: folded (fold_local). `spelled` is how it was given.

-- generation: one more with every change that what is cached may depend on.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 0);

CREATE TABLE domain (
    domain TEXT PRIMARY KEY,
    spelled TEXT NOT NULL,
    alias_of TEXT,                       -- a domain without alias_of
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX domain_alias ON domain (alias_of) WHERE alias_of IS NOT NULL;

CREATE TABLE account (
    account INTEGER PRIMARY KEY AUTOINCREMENT,  -- AUTOINCREMENT: an id never comes back
    display_name TEXT NOT NULL,
    quota_octets INTEGER,                -- NULL: without limit
    quota_emails INTEGER,
    is_disabled INTEGER NOT NULL,
    is_admin INTEGER NOT NULL,
    shard INTEGER NOT NULL,              -- of the store
    created REAL NOT NULL,
    removed_at REAL                      -- it and its addresses are unknown; erased after the undelete time
) STRICT;
CREATE INDEX account_shard ON account (shard);
CREATE INDEX account_removed ON account (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX account_admin ON account (account) WHERE is_admin AND removed_at IS NULL;

-- The lowest position is the login name. Addresses of removed accounts are free for others.
CREATE TABLE address (
    account INTEGER NOT NULL,
    position INTEGER NOT NULL,
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    spelled TEXT NOT NULL,
    is_removed INTEGER NOT NULL,
    PRIMARY KEY (account, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX address_name ON address (domain, local) WHERE is_removed = 0;
CREATE INDEX address_removed ON address (domain, local) WHERE is_removed = 1;

-- One row per target. local '': the catch-all. target_key: the target folded, to compare and to find it.
CREATE TABLE alias (
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    position INTEGER NOT NULL,
    spelled TEXT NOT NULL,
    target TEXT NOT NULL,
    target_key TEXT NOT NULL,
    PRIMARY KEY (domain, local, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX alias_target ON alias (target_key, domain, local);

-- What else is to be kept of an account, by name (settings of doors, of the web page).
CREATE TABLE setting (
    account INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- What accounts log in with. last_used does not raise the generation.
CREATE TABLE credential (
    credential INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    kind TEXT NOT NULL,                  -- main | app
    name TEXT NOT NULL,                  -- '' for the main password
    secret TEXT NOT NULL,
    scopes TEXT NOT NULL,                -- with spaces between
    scram_sha256 BLOB,                   -- msgpack: salt, iterations, stored key, server key
    scram_sha1 BLOB,
    created REAL NOT NULL,
    last_used REAL,
    save_sent TEXT NOT NULL,
    deduplicates INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX credential_name ON credential (account, name);

-- Where an account logged in from before; the latest ones.
CREATE TABLE place (
    account INTEGER NOT NULL,
    place TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;

-- Made once with the file: keyed hashes of app passwords and the salts of SCRAM hang on it.
CREATE TABLE secret (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO secret VALUES ('server', randomblob(32));
