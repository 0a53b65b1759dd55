package suppress

// ProtectByBoxes protects a table as a large one is.
func ProtectByBoxes(p *Problem) (*Result, error) { return protect(p, 0) }
