-- What an account keeps beside its mail (docs/internals.md "A record").

-- value: a JSON object; NULL when the record was removed, at the modseq in changed. due: microseconds since 1970; NULL:
-- never.
CREATE TABLE record (
    account INTEGER NOT NULL,
    kind TEXT NOT NULL,
    record INTEGER NOT NULL,
    value BLOB,
    created INTEGER NOT NULL,            -- modseq
    changed INTEGER NOT NULL,            -- modseq
    due INTEGER,
    PRIMARY KEY (account, kind, record)
) WITHOUT ROWID;
CREATE INDEX record_changed ON record (account, changed);
CREATE INDEX record_kind ON record (kind, account) WHERE value IS NOT NULL;
CREATE INDEX record_due ON record (due) WHERE due IS NOT NULL;

-- Whom a vacation answer was sent to: a hash of the sender and of the answer.
CREATE TABLE answered (
    account INTEGER NOT NULL,
    sender BLOB NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (account, sender)
) WITHOUT ROWID;
CREATE INDEX answered_expires ON answered (expires);
