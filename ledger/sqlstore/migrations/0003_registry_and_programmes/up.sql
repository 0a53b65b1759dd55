CREATE TABLE residents (
	id            TEXT   PRIMARY KEY,
	name          TEXT   NOT NULL,
	phone         TEXT   NOT NULL,
	born_on       TEXT   NOT NULL,
	sex           TEXT   NOT NULL,
	area          TEXT   NOT NULL,
	consent_id    TEXT   NOT NULL,
	test          BOOLEAN NOT NULL,
	registered_at BIGINT NOT NULL
);

CREATE TABLE shops (
	id        TEXT   PRIMARY KEY,
	name      TEXT   NOT NULL,
	merchant  TEXT   NOT NULL,
	industry  TEXT   NOT NULL,
	area      TEXT   NOT NULL,
	joined_at BIGINT NOT NULL
);

CREATE TABLE programmes (
	id         TEXT   PRIMARY KEY,
	name       TEXT   NOT NULL,
	class      TEXT   NOT NULL,
	unit_price_yen BIGINT NOT NULL,
	unit_value_yen BIGINT NOT NULL,
	max_units  BIGINT NOT NULL,
	issue_units BIGINT NOT NULL, -- 0 is no limit
	spend_first TEXT  NOT NULL,
	settlement TEXT   NOT NULL,
	opens_on   TEXT   NOT NULL,
	closes_on  TEXT   NOT NULL
);

CREATE TABLE staff (
	login         TEXT PRIMARY KEY,
	password_hash TEXT NOT NULL,
	role          TEXT NOT NULL,
	shop          TEXT NOT NULL
);

CREATE TABLE clients (
	id           TEXT PRIMARY KEY,
	token_digest TEXT NOT NULL UNIQUE,
	scopes       TEXT NOT NULL
);
