CREATE TABLE batches (
	first_seq BIGINT PRIMARY KEY,
	last_seq  BIGINT NOT NULL UNIQUE,
	seal      TEXT   NOT NULL,
	CHECK (first_seq <= last_seq)
);

CREATE TRIGGER batches_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON batches
	FOR EACH STATEMENT EXECUTE FUNCTION keep_posted_rows();
