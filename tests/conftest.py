"""Nothing is shared between tests but what this file says: each makes its own world."""
