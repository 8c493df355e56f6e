-- One shard of the spool. docs/internals.md has the states; docs/decisions/spool.md the measurements.

CREATE TABLE message (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,  -- AUTOINCREMENT: a serial never comes back
    sender TEXT,                               -- local@domain, local part as it is; NULL is <>
    flags INTEGER NOT NULL,                    -- see rows.py
    envid TEXT,
    priority INTEGER NOT NULL,
    arrived REAL NOT NULL,
    size INTEGER NOT NULL,                     -- trace and body
    source TEXT NOT NULL,
    message_id TEXT NOT NULL,
    crashes INTEGER NOT NULL
) STRICT;

-- Apart from message, so that lists and counts do not read bodies.
CREATE TABLE body (
    serial INTEGER PRIMARY KEY,
    trace BLOB NOT NULL,
    data BLOB                                  -- NULL: bodies/<serial>
) STRICT;

CREATE TABLE recipient (
    serial INTEGER NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,                   -- see rows.py; 0 is waiting
    attempts INTEGER NOT NULL,
    next_attempt REAL,
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    notify INTEGER NOT NULL,
    orcpt TEXT,                                -- type;address
    reply TEXT,                                -- code SP enhanced SP text
    remote TEXT NOT NULL,
    next_hop TEXT NOT NULL,
    PRIMARY KEY (serial, number),
    CHECK ((status = 0) = (next_attempt IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX due ON recipient (next_attempt) WHERE next_attempt IS NOT NULL;
CREATE INDEX by_domain ON recipient (domain);

CREATE TABLE site (
    site TEXT PRIMARY KEY,
    retry_at REAL NOT NULL,
    failures INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta VALUES ('epoch', 0);
