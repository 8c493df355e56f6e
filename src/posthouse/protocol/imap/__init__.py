"""IMAP as it is spoken (RFC 9051, RFC 3501): pure cores."""
