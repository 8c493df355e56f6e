-- Which emails a thread has is read from the index alone: all threads of an account in milliseconds.
DROP INDEX email_thread;
CREATE INDEX email_thread ON email (account, thread, email) WHERE thread <> email;
