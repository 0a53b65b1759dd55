-- The closed periods of a list of programmes.
SELECT programme, period FROM closes WHERE programme IN (SELECT value FROM json_each($1))
