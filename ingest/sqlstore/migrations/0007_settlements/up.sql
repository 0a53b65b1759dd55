CREATE TABLE ingest_settlements (
	source     TEXT   NOT NULL,
	shop_id    TEXT   NOT NULL,
	service_id TEXT   NOT NULL,
	first_day  TEXT   NOT NULL,
	last_day   TEXT   NOT NULL,
	amount_yen BIGINT NOT NULL,
	fee_yen    BIGINT NOT NULL,
	net_yen    BIGINT NOT NULL,
	PRIMARY KEY (source, shop_id, service_id, first_day, last_day)
);
