CREATE TABLE consent_log (
	number     INTEGER NOT NULL PRIMARY KEY,
	entered_at BIGINT NOT NULL,
	book       TEXT   NOT NULL,
	kind       TEXT   NOT NULL,
	ref        TEXT   NOT NULL,
	source     TEXT   NOT NULL,
	person     TEXT   NOT NULL,
	keep_until BIGINT NOT NULL, -- 0 is for ever
	body       TEXT,            -- NULL once it was purged
	hash       TEXT   NOT NULL,
	chain      TEXT   NOT NULL
);

CREATE INDEX consent_log_by_book ON consent_log (book, number);
CREATE INDEX consent_log_by_person ON consent_log (source, person, number);
CREATE INDEX consent_log_by_ref ON consent_log (ref, number);

CREATE TRIGGER consent_log_is_only_emptied BEFORE UPDATE ON consent_log
WHEN NOT (OLD.keep_until > 0 AND OLD.keep_until <= CAST(strftime('%s', 'now') AS INTEGER) * 1000000
	AND NEW.body IS NULL AND NEW.ref = '' AND NEW.source = '' AND NEW.person = ''
	AND NEW.number = OLD.number AND NEW.entered_at = OLD.entered_at AND NEW.book = OLD.book AND NEW.kind = OLD.kind
	AND NEW.keep_until = OLD.keep_until AND NEW.hash = OLD.hash AND NEW.chain = OLD.chain)
BEGIN SELECT RAISE(ABORT, 'the log of consents is append-only'); END;

CREATE TRIGGER consent_log_is_not_deleted BEFORE DELETE ON consent_log
BEGIN SELECT RAISE(ABORT, 'the log of consents is append-only'); END;
