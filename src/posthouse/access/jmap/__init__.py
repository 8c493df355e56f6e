"""JMAP for mail (RFC 8621): objects made of what the store keeps, and messages made of what a client wants."""
