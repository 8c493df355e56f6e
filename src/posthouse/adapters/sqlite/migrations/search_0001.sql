-- An index of texts beside a shard of the store: may be deleted at any time, is made again (docs/internals.md "Search").

-- rowid: account * 2^32 + email. Which trigrams stand in an email, not where: a tenth of the size, and what is found is
-- verified anyhow. Without content: it is in the store.
CREATE VIRTUAL TABLE trigram USING fts5(
    texts, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1'
);

-- For what is shorter than three characters.
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(trigram, instance);

-- Every email of the account up to this one is in the index, is in `unread`, or is gone.
CREATE TABLE progress (
    account INTEGER PRIMARY KEY,
    email INTEGER NOT NULL
);

-- Emails that the index cannot speak for.
CREATE TABLE unread (
    account INTEGER NOT NULL,
    email INTEGER NOT NULL,
    PRIMARY KEY (account, email)
) WITHOUT ROWID;

-- rules: by which texts were made; an index by other rules is made again. gone, row: up to where in the store's list of
-- expunged emails (by time, then rowid) they have been taken out.
CREATE TABLE state (
    rules TEXT NOT NULL,
    gone INTEGER NOT NULL,
    row INTEGER NOT NULL
);
