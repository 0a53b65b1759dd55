CREATE FUNCTION keep_posted_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'posted rows are never changed or deleted';
END $$;
CREATE TRIGGER transfers_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
	FOR EACH STATEMENT EXECUTE FUNCTION keep_posted_rows();
CREATE TRIGGER transactions_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
	FOR EACH STATEMENT EXECUTE FUNCTION keep_posted_rows();
