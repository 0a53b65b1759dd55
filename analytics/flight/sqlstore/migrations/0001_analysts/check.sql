SELECT (SELECT COUNT(*) FROM analyst_grants) = 0 AND (SELECT COUNT(*) FROM analyst_log) = 0
