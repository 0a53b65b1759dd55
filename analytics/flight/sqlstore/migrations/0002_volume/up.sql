ALTER TABLE analyst_grants ADD COLUMN most_rows BIGINT NOT NULL DEFAULT 10000000;
ALTER TABLE analyst_grants ADD COLUMN most_bytes BIGINT NOT NULL DEFAULT 4294967296;
ALTER TABLE analyst_grants ADD COLUMN used_rows BIGINT NOT NULL DEFAULT 0;
ALTER TABLE analyst_grants ADD COLUMN used_bytes BIGINT NOT NULL DEFAULT 0;

UPDATE analyst_grants SET
	used_rows = (SELECT COALESCE(SUM(row_count), 0) FROM analyst_log WHERE grant_id = id AND outcome = 'ok' AND kind IN ('answer', 'provision')),
	used_bytes = (SELECT COALESCE(SUM(byte_count), 0) FROM analyst_log WHERE grant_id = id AND outcome = 'ok' AND kind IN ('answer', 'provision'));
