SELECT (SELECT COUNT(*) FROM accounts) = 0
   AND (SELECT COUNT(*) FROM transactions) = 0
   AND (SELECT COUNT(*) FROM transfers) = 0
