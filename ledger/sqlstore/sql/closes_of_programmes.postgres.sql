-- The closed periods of a list of programmes.
SELECT programme, period FROM closes WHERE programme = ANY (CAST($1 AS text[]))
