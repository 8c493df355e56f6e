"""POP3 as it is spoken (RFC 1939): a pure server core."""
