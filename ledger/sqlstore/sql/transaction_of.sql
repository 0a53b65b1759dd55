-- Which transaction holds an entry?
SELECT id FROM transfers WHERE seq = $1
