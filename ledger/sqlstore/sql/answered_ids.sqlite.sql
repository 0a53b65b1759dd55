-- Which IDs of a list were answered before?
SELECT id FROM transfers WHERE id IN (SELECT value FROM json_each($1)) AND position = 0
UNION ALL SELECT id FROM refusals WHERE id IN (SELECT value FROM json_each($1))
UNION ALL SELECT id FROM closes WHERE id IN (SELECT value FROM json_each($1))
