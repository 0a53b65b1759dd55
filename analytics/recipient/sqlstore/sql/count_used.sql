-- How many other tables were handed over in the day, and how many downloads in
-- the month?
SELECT COUNT(DISTINCT CASE WHEN at >= $1 AND table_name <> $2 THEN table_name END), COUNT(*)
FROM recipient_log
WHERE contract_id = $3 AND outcome = 'given' AND at >= $4
