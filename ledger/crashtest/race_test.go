//go:build race

package crashtest

// raced: the race detector makes everything several times slower, so that no
// time that is measured says anything.
const raced = true
