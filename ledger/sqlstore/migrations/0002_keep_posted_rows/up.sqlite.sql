CREATE TRIGGER transfers_keep_update BEFORE UPDATE ON transfers
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER transfers_keep_delete BEFORE DELETE ON transfers
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
CREATE TRIGGER refusals_keep_update BEFORE UPDATE ON refusals
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER refusals_keep_delete BEFORE DELETE ON refusals
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
CREATE TRIGGER closes_keep_update BEFORE UPDATE ON closes
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER closes_keep_delete BEFORE DELETE ON closes
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
CREATE TRIGGER batches_keep_update BEFORE UPDATE ON batches
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER batches_keep_delete BEFORE DELETE ON batches
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
CREATE TRIGGER account_marks_keep_update BEFORE UPDATE ON account_marks
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER account_marks_keep_delete BEFORE DELETE ON account_marks
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
CREATE TRIGGER accounts_keep_update BEFORE UPDATE ON accounts
	BEGIN SELECT RAISE(ABORT, 'posted rows are never changed'); END;
CREATE TRIGGER accounts_keep_delete BEFORE DELETE ON accounts
	BEGIN SELECT RAISE(ABORT, 'posted rows are never deleted'); END;
