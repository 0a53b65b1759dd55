CREATE TABLE batches (
	first_seq BIGINT PRIMARY KEY,
	last_seq  BIGINT NOT NULL UNIQUE,
	seal      TEXT   NOT NULL,
	CHECK (first_seq <= last_seq)
);

CREATE TRIGGER batches_keep_update BEFORE UPDATE ON batches
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER batches_keep_delete BEFORE DELETE ON batches
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
