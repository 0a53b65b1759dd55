-- Is a settlement period closed?
SELECT COUNT(*) FROM closes WHERE programme = $1 AND period = $2
