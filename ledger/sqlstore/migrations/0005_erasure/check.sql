SELECT (SELECT COUNT(*) FROM residents WHERE erased_at <> 0) = 0
