-- All emails of an account in the order of receiving, read from the index alone: what JMAP lists.
CREATE INDEX email_received ON email (account, received, email);
