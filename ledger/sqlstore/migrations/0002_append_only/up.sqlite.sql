CREATE TRIGGER transfers_keep_update BEFORE UPDATE ON transfers
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER transfers_keep_delete BEFORE DELETE ON transfers
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
CREATE TRIGGER transactions_keep_update BEFORE UPDATE ON transactions
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER transactions_keep_delete BEFORE DELETE ON transactions
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
