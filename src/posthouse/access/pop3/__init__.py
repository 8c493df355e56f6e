"""POP3 for the accounts of this server (RFC 1939): a client's session on its INBOX."""
