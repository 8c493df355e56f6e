"""JMAP (RFC 8620): requests, results, sessions and push as values. Pure; what the methods do is access/jmap."""
