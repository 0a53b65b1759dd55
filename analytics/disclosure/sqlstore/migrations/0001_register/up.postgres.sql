CREATE TABLE releases (
	number       BIGINT  NOT NULL PRIMARY KEY,
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
	body         BYTEA   NOT NULL
);

CREATE FUNCTION refuse_change_of_releases() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the register of releases is append-only'; END $$;

CREATE TRIGGER releases_are_not_changed BEFORE UPDATE OR DELETE ON releases
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_releases();

CREATE TRIGGER releases_are_not_truncated BEFORE TRUNCATE ON releases
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_releases();
