-- A shard of the message store (docs/internals.md). Times are microseconds since 1970. The account leads every key.

CREATE TABLE account (
    account INTEGER PRIMARY KEY,
    modseq INTEGER NOT NULL,             -- the highest given so far
    next_email INTEGER NOT NULL,
    next_mailbox INTEGER NOT NULL,
    next_submission INTEGER NOT NULL,
    next_uidvalidity INTEGER NOT NULL,
    emails INTEGER NOT NULL DEFAULT 0,   -- with at least one placement
    octets INTEGER NOT NULL DEFAULT 0,   -- of those
    horizon INTEGER NOT NULL DEFAULT 0,  -- changes up to this modseq have been forgotten
    removed INTEGER                      -- the account is to be erased after the undelete time
);

-- Bit numbers of flags 5..61. Names compare without regard to case.
CREATE TABLE keyword (
    account INTEGER NOT NULL,
    bit INTEGER NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (account, bit)
) WITHOUT ROWID;
CREATE UNIQUE INDEX keyword_name ON keyword (account, name);

-- parent 0: at the top. modseq: of its placements; created, changed: of itself.
CREATE TABLE mailbox (
    account INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL,
    role TEXT,
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    total INTEGER NOT NULL DEFAULT 0,
    unseen INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    subscribed INTEGER NOT NULL DEFAULT 1,
    sort_order INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, mailbox)
) WITHOUT ROWID;
CREATE UNIQUE INDEX mailbox_name ON mailbox (account, parent, name);
CREATE UNIQUE INDEX mailbox_role ON mailbox (account, role) WHERE role IS NOT NULL;

-- Slim on purpose: SELECT, STORE and COPY touch nothing else.
CREATE TABLE placement (
    account INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    email INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    saved INTEGER NOT NULL,
    PRIMARY KEY (account, mailbox, uid)
) WITHOUT ROWID;
CREATE INDEX placement_email ON placement (account, email);

-- \Seen of readers who are not the owner.
CREATE TABLE seen (
    account INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    reader INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (account, mailbox, reader, uid)
) WITHOUT ROWID;

-- Access lists (RFC 4314). grantee 0: anyone.
CREATE TABLE sharing (
    account INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    grantee INTEGER NOT NULL,
    negative INTEGER NOT NULL,
    rights TEXT NOT NULL,
    PRIMARY KEY (account, mailbox, grantee, negative)
) WITHOUT ROWID;
CREATE INDEX sharing_grantee ON sharing (grantee, negative, account);

-- METADATA (RFC 5464). mailbox 0: of the account. viewer 0: shared, else whose private one it is.
CREATE TABLE annotation (
    account INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    viewer INTEGER NOT NULL,
    entry TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (account, mailbox, viewer, entry)
) WITHOUT ROWID;
CREATE INDEX annotation_viewer ON annotation (viewer) WHERE viewer <> 0;

-- Subscriptions to what is no mailbox of the account.
CREATE TABLE subscribed_name (
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID;

-- What POP3 of a former server called a message. Of imported mail only.
CREATE TABLE uidl (
    account INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    uidl TEXT NOT NULL,
    PRIMARY KEY (account, mailbox, uid)
) WITHOUT ROWID;

-- With a rowid: rows are fat and come in the order of arrival. facts: what only whole messages need (msgpack). A
-- thread is named after its first email, so that an email without company is in no index of threads.
CREATE TABLE email (
    account INTEGER NOT NULL,
    email INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    body INTEGER NOT NULL,
    size INTEGER NOT NULL,               -- of prefix and body
    received INTEGER NOT NULL,
    zone INTEGER NOT NULL,               -- minutes
    created INTEGER NOT NULL,            -- modseq
    gone INTEGER,                        -- when the last placement went; erased after the undelete time
    gone_from INTEGER,                   -- the mailbox it was in last
    gone_flags INTEGER,                  -- and its flags there
    sent INTEGER,
    base_subject TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    copied TEXT NOT NULL,
    display_from TEXT NOT NULL,
    display_to TEXT NOT NULL,
    attachment INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    refs TEXT NOT NULL,                  -- ids, one per line
    texts TEXT NOT NULL,                 -- subject, from, to, cc, bcc, preview, list id: one per line
    prefix BLOB NOT NULL,
    envelope BLOB NOT NULL,
    bodystructure BLOB NOT NULL,
    head BLOB NOT NULL,
    facts BLOB NOT NULL,                 -- parts, header size, lines ... (msgpack)
    PRIMARY KEY (account, email)
);
CREATE INDEX email_thread ON email (account, thread) WHERE thread <> email;
CREATE INDEX email_gone ON email (gone) WHERE gone IS NOT NULL;
CREATE INDEX email_body ON email (body);

-- Which thread a Message-ID belongs to, together with a base subject; both are hashes.
CREATE TABLE thread_ref (
    account INTEGER NOT NULL,
    ref INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    PRIMARY KEY (account, ref, subject)
) WITHOUT ROWID;

-- What happened, in ranges. Arrivals are not here (docs/internals.md). kind: 1 placements changed (UIDs), 2 placements
-- went (UIDs), 3 emails destroyed, 4 emails changed other than by kind 1 (ids), 5 mailbox made or its properties changed, 6 mailbox removed,
-- 7 submissions changed (ids), 8 threads changed by merging (ids).
CREATE TABLE change (
    account INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (account, modseq, kind, mailbox, low)
) WITHOUT ROWID;

-- Immutable, by hash; octets NULL: bodies/<first two hex digits>/<hash>. Removed an hour after the last reference.
CREATE TABLE body (
    body INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    unreferenced INTEGER,                -- since when
    octets BLOB
);
CREATE INDEX body_unreferenced ON body (unreferenced) WHERE unreferenced IS NOT NULL;

-- sending.md rule 5. wire: the octets that are sent (a body without Bcc).
CREATE TABLE submission (
    account INTEGER NOT NULL,
    submission INTEGER NOT NULL,
    state TEXT NOT NULL,
    spool_shard INTEGER NOT NULL,
    send_at INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    email INTEGER,
    wire INTEGER NOT NULL,               -- body; 0 when it is no longer kept
    envelope BLOB NOT NULL,
    source TEXT NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (account, submission)
) WITHOUT ROWID;
CREATE INDEX submission_due ON submission (spool_shard, send_at) WHERE state = 'pending';
CREATE INDEX submission_email ON submission (account, email) WHERE email IS NOT NULL;
CREATE INDEX submission_wire ON submission (wire) WHERE wire <> 0;

CREATE TABLE submission_recipient (
    account INTEGER NOT NULL,
    submission INTEGER NOT NULL,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reply TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, submission, number)
) WITHOUT ROWID;

CREATE TABLE submission_key (
    account INTEGER NOT NULL,
    key BLOB NOT NULL,
    submission INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE INDEX submission_key_expires ON submission_key (expires);

-- How far an import from a source has come, by folder of the source: in one commit with the emails up to there.
CREATE TABLE import_mark (
    account INTEGER NOT NULL,
    source BLOB NOT NULL,                -- hash of what is imported and where to
    folder TEXT NOT NULL,
    position TEXT NOT NULL,              -- in the words of the source
    PRIMARY KEY (account, source, folder)
) WITHOUT ROWID;
