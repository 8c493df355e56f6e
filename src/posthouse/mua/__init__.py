"""The user agent we ship: what its page needs of a message that nobody here wrote."""
