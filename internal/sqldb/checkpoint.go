package sqldb

import (
	"database/sql"
	"fmt"
)

// A keeper makes the checkpoints of a SQLite file.
//
// SQLite's own pass over an error in silence, and a later one may
// then lose what was committed. A checkpoint that a reader or a writer overtakes
// copies a part of the log into the database, does not sync it, and takes it for
// done. When the sync of a later one fails, the system may have dropped that
// part together with its own (Linux reports a failed write-back once, and calls
// the pages clean); SQLite copies only its own part again, and then writes over
// the log, which was the last to have the other.
//
// So they are made here, between two writers, and a failed one is the
// last: nothing is written any more, the connections are left open, since
// closing the last one makes another checkpoint and removes the log, and the
// next process to open the file copies the whole log anew. PostgreSQL does the
// same after a failed sync, for the same reason.
type keeper struct {
	*sql.DB     // one connection, so that it waits for no reader
	pages   int // in the log before they are copied
	written int
	failed  error
}

const (
	// checkpointPages is how many pages wait in the log: one that many batches
	// touch is copied once in 64 MiB of them, rather than once in four as SQLite
	// does.
	checkpointPages = 16384

	// checkpointEvery is after how many writes a keeper looks how long the log is.
	checkpointEvery = 4
)

func newKeeper(file sqliteFile, pages int) *keeper {
	k := &keeper{DB: sql.OpenDB(file), pages: pages}
	k.SetMaxOpenConns(1)
	return k
}

// wrote is told of everything that was written, while nobody writes.
func (k *keeper) wrote() {
	if k.written++; k.failed == nil && k.written%checkpointEvery == 0 {
		k.failed = k.checkpoint()
	}
}

func (k *keeper) checkpoint() error {
	length := func(mode string) (frames int, err error) {
		var busy, all, copied int
		err = k.QueryRow("PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &all, &copied)
		return all - copied, err
	}
	frames, err := length("NOOP")
	if err == nil && frames >= k.pages {
		_, err = length("PASSIVE")
	}
	if err != nil {
		return fmt.Errorf("the write-ahead log was not copied into the database, which takes a new process: %w", err)
	}
	return nil
}
