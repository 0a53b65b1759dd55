package consent

import (
	"hash/maphash"
	"math/bits"
)

// crowd finds the sheet of a person of one source with one look into memory. It
// keeps 128 bits of hash under random seeds for each, and no name: a map would
// look into four places for every row.
type crowd struct {
	one, two maphash.Seed
	slots    []slot
	people   int
}

type slot struct {
	one, two uint64
	taken    bool
	sheet
}

// sheet says where a person's spans are: what is allowed, the latest consent
// first, then what was taken back.
type sheet struct {
	first         uint32
	allows, takes uint32
}

// newCrowd has room for n persons, with a third of it free.
func newCrowd(n int) *crowd {
	return &crowd{one: maphash.MakeSeed(), two: maphash.MakeSeed(), slots: make([]slot, 1<<bits.Len(uint(n+n/2)))}
}

// find returns a person's sheet, or nil.
func (c *crowd) find(person string) *sheet {
	if c == nil {
		return nil
	}
	if s, _, _ := c.look(person); s.taken {
		return &s.sheet
	}
	return nil
}

// add returns the sheet of a person who may be new.
func (c *crowd) add(person string) *sheet {
	s, one, two := c.look(person)
	if !s.taken {
		s.one, s.two, s.taken = one, two, true
		c.people++
	}
	return &s.sheet
}

// look returns the person's slot, or the free one where it would be, and the
// hashes. It changes nothing: many may look at once.
func (c *crowd) look(person string) (s *slot, one, two uint64) {
	one, two = maphash.String(c.one, person), maphash.String(c.two, person)
	for i := one; ; i++ {
		s = &c.slots[i&uint64(len(c.slots)-1)]
		if !s.taken || s.one == one && s.two == two {
			return s, one, two
		}
	}
}
