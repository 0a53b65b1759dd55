-- Which sources have persons or shops?
SELECT source FROM ingest_persons
UNION
SELECT source FROM ingest_shops
ORDER BY 1
