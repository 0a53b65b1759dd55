-- How many rows has this connection changed?
SELECT total_changes()
