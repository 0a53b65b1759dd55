package ledger

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// How the whole of a ledger is read: in stretches of so many entries, of which
// some are read while the one before is worked on.
const (
	stretch = 5000
	readers = 3
)

// eachStretch reads everything that is posted after an entry, in order and in
// parallel, and hands it over in lists of whole transactions. It returns when
// there is no more.
func eachStretch(ctx context.Context, s Audited, after Seq, each func([]Posted) error) error {
	for {
		end, err := s.End(ctx)
		if err != nil || end <= after {
			return err
		}
		if err := between(ctx, s, after, end, each); err != nil {
			return err
		}
		after = end
	}
}

// between reads what is posted after one entry up to another, which ends a
// transaction.
func between(ctx context.Context, s Audited, after, end Seq, each func([]Posted) error) error {
	g, ctx := errgroup.WithContext(ctx)
	lists := make(chan chan []Posted, readers-1) // in order; each gets one list
	slots := make(chan struct{}, readers)
	g.Go(func() error {
		defer close(lists)
		for first := after + 1; first <= end; first += stretch {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			list := make(chan []Posted, 1)
			g.Go(func() error {
				read, err := s.Stretch(ctx, first, min(first+stretch-1, end))
				list <- read
				<-slots
				return err
			})
			select {
			case lists <- list:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		var open []Posted // the last transaction, which may go on in the next list
		for list := range lists {
			read := <-list
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if n := len(open); n > 0 && len(read) > 0 && open[n-1].ID == read[0].ID {
				last := &open[n-1]
				last.Entries = append(last.Entries[:len(last.Entries):len(last.Entries)], read[0].Entries...)
				read = read[1:]
			}
			if len(read) == 0 {
				continue
			}
			if err := each(open); err != nil {
				return err
			}
			open = read
			// All but the last one are whole.
			if n := len(open); n > 1 {
				if err := each(open[:n-1]); err != nil {
					return err
				}
				open = open[n-1:]
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return each(open)
	})
	return g.Wait()
}
