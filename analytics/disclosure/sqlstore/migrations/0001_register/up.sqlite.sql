CREATE TABLE releases (
	number       INTEGER NOT NULL PRIMARY KEY,
	released_at  BIGINT  NOT NULL,
	audience     TEXT    NOT NULL,
	reader       TEXT    NOT NULL,
	rules        TEXT    NOT NULL,
	metric       TEXT    NOT NULL,
	from_on      TEXT    NOT NULL,
	to_on        TEXT    NOT NULL,
	cut          TEXT    NOT NULL,
	snapshot     BIGINT  NOT NULL,
	cell_count   BIGINT  NOT NULL,
	hidden_count BIGINT  NOT NULL,
	frozen       BOOLEAN NOT NULL,
	hash         TEXT    NOT NULL,
	chain        TEXT    NOT NULL,
	body         BLOB    NOT NULL
);

CREATE TRIGGER releases_are_not_changed BEFORE UPDATE ON releases
BEGIN SELECT RAISE(ABORT, 'the register of releases is append-only'); END;

CREATE TRIGGER releases_are_not_deleted BEFORE DELETE ON releases
BEGIN SELECT RAISE(ABORT, 'the register of releases is append-only'); END;
