SELECT (SELECT COUNT(*) FROM transfers) = 0
