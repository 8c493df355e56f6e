-- Mail that users submit (docs/internals.md, "Submission").

ALTER TABLE message ADD COLUMN deliver_by TEXT;     -- seconds since 1970 SP mode (R or N) [T]; RFC 2852
ALTER TABLE message ADD COLUMN account INTEGER;     -- whose store has the submission
ALTER TABLE message ADD COLUMN submission INTEGER;

-- Handed over once: a second row for the same submission cannot be.
CREATE UNIQUE INDEX by_submission ON message (account, submission) WHERE submission IS NOT NULL;
