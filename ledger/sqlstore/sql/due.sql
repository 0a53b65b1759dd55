-- Is there a hold whose time is up?
SELECT COUNT(*) FROM (SELECT id FROM open_holds WHERE until_at <= $1 LIMIT 1) AS due
