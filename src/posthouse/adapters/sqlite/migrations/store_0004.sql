-- When a submission was made, for JMAP's /changes; 0: before there was this column.
ALTER TABLE submission ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
