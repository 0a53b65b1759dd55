-- What an analyst wrote, as DuckDB reads it. Nothing but SELECT can be written
-- this way: any other statement, also after a semicolon, gives "error": true.
SELECT CAST(json_serialize_sql(CAST($1 AS VARCHAR)) AS VARCHAR)
