-- Signing in at the web page (docs/internals.md "Directory"). None of these raises the generation: who signs in must not
-- make the workers forget what they know. Times are seconds since 1970.

CREATE TABLE web_session (
    session INTEGER PRIMARY KEY AUTOINCREMENT,
    token BLOB NOT NULL,                 -- keyed hash
    account INTEGER NOT NULL,
    credential INTEGER NOT NULL,         -- the main password it hangs on; 0: none
    passkey INTEGER NOT NULL,            -- begun with it; 0: without
    means TEXT NOT NULL,
    created REAL NOT NULL,
    last_used REAL NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX web_session_token ON web_session (token);
CREATE INDEX web_session_account ON web_session (account, last_used);
CREATE INDEX web_session_used ON web_session (last_used);

-- The second factor by codes. next_try: not before; a right code sets failures to 0.
CREATE TABLE totp (
    account INTEGER PRIMARY KEY,
    secret BLOB NOT NULL,
    is_on INTEGER NOT NULL,              -- 0: shown to its owner, not confirmed yet
    last_step INTEGER NOT NULL,          -- the last one that was used
    failures INTEGER NOT NULL,
    next_try REAL NOT NULL,
    created REAL NOT NULL
) STRICT;

CREATE TABLE recovery_code (
    account INTEGER NOT NULL,
    code BLOB NOT NULL,                  -- keyed hash
    PRIMARY KEY (account, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkey (
    passkey INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    handle BLOB NOT NULL,                -- the credential id of WebAuthn
    public_key BLOB NOT NULL,            -- attested credential data
    counter INTEGER NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    last_used REAL
) STRICT;
CREATE UNIQUE INDEX passkey_handle ON passkey (handle);
CREATE INDEX passkey_account ON passkey (account);

-- Challenges that were answered, so that no answer counts twice.
CREATE TABLE used_challenge (
    challenge BLOB PRIMARY KEY,
    expires REAL NOT NULL
) STRICT, WITHOUT ROWID;
