package api

import (
	"sync"
	"time"
)

// cacheSize is the most that one generation of a cache holds.
const cacheSize = 100_000

// cache remembers what was found under a key, until it is older than ttl where
// that is set. What was not found is asked for again. It holds two generations:
// when the young one is full it becomes the old one, and what was not asked for
// since then is forgotten. The zero value is ready for use.
type cache[V any] struct {
	ttl time.Duration // 0 is for ever
	now func() time.Time

	mu         sync.RWMutex
	young, old map[string]remembered[V]
}

type remembered[V any] struct {
	value V
	since time.Time
}

// get returns what is remembered under a key, or finds it.
func (c *cache[V]) get(key string, find func() (V, error)) (V, error) {
	c.mu.RLock()
	r, young := c.young[key]
	ok := young
	if !young {
		r, ok = c.old[key]
	}
	c.mu.RUnlock()
	switch ok = ok && c.fresh(r); {
	case ok && young:
		return r.value, nil
	case !ok:
		value, err := find()
		if err != nil {
			return value, err
		}
		r = remembered[V]{value: value}
		if c.ttl > 0 {
			r.since = c.now()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheSize {
		c.young, c.old = map[string]remembered[V]{}, c.young
	}
	c.young[key] = r
	return r.value, nil
}

// fresh reports whether something may still be believed. A clock that was set
// back makes nothing younger.
func (c *cache[V]) fresh(r remembered[V]) bool {
	if c.ttl == 0 {
		return true
	}
	age := c.now().Sub(r.since)
	return age >= 0 && age < c.ttl
}
