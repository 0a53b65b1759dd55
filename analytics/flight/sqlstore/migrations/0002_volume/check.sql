SELECT (SELECT COUNT(*) FROM analyst_grants WHERE most_rows < 1 OR most_bytes < 1 OR used_rows < 0 OR used_bytes < 0) = 0
