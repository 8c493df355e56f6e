-- Which host took, or refused, the mail for this recipient.
ALTER TABLE submission_recipient ADD COLUMN remote TEXT NOT NULL DEFAULT '';
