SELECT (SELECT COUNT(*) FROM budget_entries) = 0
