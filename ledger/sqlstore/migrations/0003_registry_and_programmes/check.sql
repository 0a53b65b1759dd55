SELECT (SELECT COUNT(*) FROM residents) = 0
   AND (SELECT COUNT(*) FROM shops) = 0
   AND (SELECT COUNT(*) FROM programmes) = 0
   AND (SELECT COUNT(*) FROM staff) = 0
   AND (SELECT COUNT(*) FROM clients) = 0
