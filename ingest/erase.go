package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sync/errgroup"

	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// Eraser takes rows out for good, of the lake and of the personal plane's files.
// It is not safe for concurrent use.
type Eraser struct {
	Importer *Importer
	Lake     *lake.Lake
	City     string
	Keys     func() (*pseudonymize.Keyset, error) // asked for when persons are looked for in a lake with tokens
	Linked   []string                             // as of the pipeline
	Now      func() time.Time

	last *search // so that what was found is not looked for again before it is erased
}

// Erasure says which rows go: those of persons, and those of datasets of before
// the day of a time in Tokyo; the zero time means all.
type Erasure struct {
	Persons []PersonID
	Before  map[string]time.Time
}

// ErrTokens: without its key nobody can tell whose rows the lake holds.
var ErrTokens = errors.New("the lake's rows of a person are found with the key that made its pseudonyms: " +
	"bring the keyset back, or move the lake away and build it anew")

// search is what of an erasure lies in the lake.
type search struct {
	Erasure
	snapshot int64
	tokens   tokenSet
	hits     []hit
	older    []int64 // snapshots before the present one that hold more of it
}

// hit is a file with rows that go.
type hit struct {
	lake.File
	whole bool    // all of them, by its month
	rows  []int64 // their places otherwise
}

// Same returns the persons with all others that links say they are.
func (im *Importer) Same(ctx context.Context, persons []PersonID) ([]PersonID, error) {
	links, err := im.Links(ctx)
	if err != nil {
		return nil, err
	}
	to := map[PersonID]PersonID{}
	for _, l := range links { // the last word about a person counts
		delete(to, PersonID{l.Source, l.PersonID})
		if l.ToID != "" {
			to[PersonID{l.Source, l.PersonID}] = PersonID{l.ToSource, l.ToID}
		}
	}
	who := map[PersonID]bool{}
	for _, p := range persons {
		who[p] = true
		if t, ok := to[p]; ok {
			who[t] = true
		}
	}
	all := slices.Clone(persons)
	for t := range who {
		all = append(all, t)
	}
	for from, t := range to { // no link leads to one that is linked further
		if who[t] {
			all = append(all, from)
		}
	}
	slices.SortFunc(all, PersonID.compare)
	return slices.Compact(all), nil
}

// FindInLake calls found for each row that would go, and for each snapshot of
// before that holds more of them.
func (e *Eraser) FindInLake(ctx context.Context, x Erasure, found func(dataset, identity string)) error {
	s, err := e.search(ctx, x)
	if err != nil {
		return fmt.Errorf("search lake: %w", err)
	}
	for _, h := range s.hits {
		dataset := datasetOf(h.Table)
		if h.whole {
			for i := range h.Rows {
				found(dataset, fmt.Sprintf("%s:%d", h.Path, i))
			}
		}
		for _, i := range h.rows {
			found(dataset, fmt.Sprintf("%s:%d", h.Path, i))
		}
	}
	for _, n := range s.older {
		found("snapshot", fmt.Sprint(n))
	}
	return nil
}

func datasetOf(table string) string { return table[:len(table)-1] }

func (e *Eraser) search(ctx context.Context, x Erasure) (*search, error) {
	snapshots, err := e.Lake.Snapshots()
	if err != nil || len(snapshots) == 0 {
		return &search{Erasure: x}, err
	}
	now := snapshots[len(snapshots)-1]
	s := &search{Erasure: x, snapshot: now.Snapshot}
	if len(x.Persons) > 0 && now.Epoch != 0 {
		keys, err := e.Keys()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTokens, err)
		}
		if keys.Epoch() != now.Epoch {
			return nil, lake.ErrEpoch
		}
		if err := s.tokens.add(keys, x.Persons); err != nil {
			return nil, err
		}
	}
	known, hits := map[string]bool{}, make([]hit, len(now.Files))
	g, present := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0)) // while some wait for the disk, there are others
	for i, f := range now.Files {
		known[f.Path] = true
		g.Go(func() (err error) {
			hits[i], err = s.in(present, e.Lake, f)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s.hits = slices.DeleteFunc(hits, func(h hit) bool { return !h.whole && len(h.rows) == 0 })
	for _, m := range snapshots[:len(snapshots)-1] {
		// Whose tokens another key made cannot be told.
		holds := len(x.Persons) > 0 && m.Epoch != 0 && m.Epoch != now.Epoch
		for _, f := range m.Files {
			if known[f.Path] || holds {
				continue
			}
			h, err := s.in(ctx, e.Lake, f)
			if err != nil {
				return nil, err
			}
			if holds = h.whole || len(h.rows) > 0; !holds {
				known[f.Path] = true
			}
		}
		if holds {
			s.older = append(s.older, m.Snapshot)
		}
	}
	e.last = s
	return s, nil
}

// tokenSet are tokens that are looked for among many others: nearly all of those
// are known by their first bytes.
type tokenSet struct {
	all    map[pseudonymize.Token]bool
	begins [1 << 16]bool
}

func (s *tokenSet) has(token []byte) bool {
	return s.begins[uint16(token[0])<<8|uint16(token[1])] && s.all[pseudonymize.Token(token)]
}

// add has the set hold the tokens of persons, as the policies make them.
func (s *tokenSet) add(keys *pseudonymize.Keyset, persons []PersonID) error {
	tokens, err := pseudonymize.NewTokenizer(keys)
	if err != nil {
		return err
	}
	s.all = map[pseudonymize.Token]bool{}
	for _, p := range persons {
		t, err := tokenOf(tokens, p)
		if err != nil {
			return err
		}
		s.all[t] = true
		s.begins[uint16(t[0])<<8|uint16(t[1])] = true
	}
	return nil
}

func tokenOf(tokens *pseudonymize.Tokenizer, p PersonID) (pseudonymize.Token, error) {
	return tokens.Token("person", "resident", p.identity())
}

const personToken = "person_token"

// in looks for rows that go in a file of the lake; of its columns it reads only
// the one that it must.
func (s *search) in(ctx context.Context, l *lake.Lake, f lake.File) (h hit, err error) {
	h.File = f
	cut, cuts := s.firstDay(datasetOf(f.Table))
	var columns []string
	if cuts && f.Month != "" {
		first, err := time.Parse("2006-01", f.Month)
		if err != nil {
			return h, err
		}
		if h.whole = arrow.Date32FromTime(first.AddDate(0, 1, -1)) < cut; h.whole {
			return h, nil
		}
		if arrow.Date32FromTime(first) < cut {
			columns = append(columns, lake.DayColumn)
		}
	}
	if len(s.tokens.all) > 0 && f.Table != tableOf(ShopDataset) {
		if len(columns) == 0 {
			h.rows, err = l.Find(ctx, f, personToken, pseudonymize.TokenSize, s.tokens.has)
			return h, err
		}
		columns = append(columns, personToken)
	}
	if len(columns) == 0 {
		return h, nil
	}
	h.rows, err = l.Places(ctx, f, columns, func(batch arrow.RecordBatch) ([]bool, error) { return s.goes(f.Table, batch) })
	return h, err
}

// firstDay is the first day of a dataset that stays, if an erasure cuts it.
func (x Erasure) firstDay(dataset string) (day arrow.Date32, cuts bool) {
	t, cuts := x.Before[dataset]
	if t.IsZero() {
		return math.MaxInt32, cuts
	}
	return arrow.Date32FromTime(dayOf(t)), cuts
}

// dayOf is the day of a time in Tokyo, as midnight UTC.
func dayOf(t time.Time) time.Time {
	y, m, d := t.In(tokyo).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// goes tells which rows of a batch of the lake go.
func (s *search) goes(table string, batch arrow.RecordBatch) ([]bool, error) {
	goes := make([]bool, batch.NumRows())
	if len(s.tokens.all) > 0 && table != tableOf(ShopDataset) {
		persons, err := tokenColumn(batch)
		if err != nil {
			return nil, err
		}
		for i := range goes {
			goes[i] = persons.IsValid(i) && s.tokens.has(persons.Value(i))
		}
	}
	if cut, cuts := s.firstDay(datasetOf(table)); cuts {
		at := batch.Schema().FieldIndices(lake.DayColumn)
		for _, c := range at {
			days := batch.Column(c).(*array.Date32)
			for i := range goes {
				goes[i] = goes[i] || days.Value(i) < cut
			}
		}
	}
	return goes, nil
}

func tokenColumn(batch arrow.RecordBatch) (*array.FixedSizeBinary, error) {
	at := batch.Schema().FieldIndices(personToken)
	if len(at) == 1 {
		if c, ok := batch.Column(at[0]).(*array.FixedSizeBinary); ok && c.DataType().(*arrow.FixedSizeBinaryType).ByteWidth == pseudonymize.TokenSize {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: a file has no column %s, so nobody can tell whose its rows are", lake.ErrChanged, personToken)
}

// EraseFromLake takes the rows out: only files that hold some are written anew,
// and no snapshot of before stays.
func (e *Eraser) EraseFromLake(ctx context.Context, x Erasure) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("erase from lake: %w", err)
		}
	}()
	w, err := e.Lake.Begin(e.City)
	if err != nil {
		return err
	}
	defer w.Abort() // it does nothing after Commit
	s := e.last
	if s == nil || s.snapshot != w.Base().Snapshot || !reflect.DeepEqual(s.Erasure, x) {
		if s, err = e.search(ctx, x); err != nil {
			return err
		}
	}
	e.last = nil
	if len(s.hits) == 0 && len(s.older) == 0 {
		return nil
	}
	rewrite, gone := map[string][]lake.File{}, map[string][]int64{}
	for _, h := range s.hits {
		if h.whole {
			w.Remove(h.File)
		} else {
			rewrite[h.Table], gone[h.Path] = append(rewrite[h.Table], h.File), h.rows
		}
	}
	for _, table := range sortedKeys(rewrite) {
		files := rewrite[table]
		if t, _ := lake.TableNamed(table); t.Day == "" { // it is written whole
			files = w.Base().Table(table)
		}
		schema, err := e.Lake.SchemaOf(newest(w.Base().Table(table)))
		if err != nil {
			return err
		}
		if _, err := w.Rewrite(ctx, table, schema, files, func(f lake.File) ([]int64, error) { return gone[f.Path], nil }); err != nil {
			return err
		}
	}
	e.Importer.step("lake rewritten")
	_, err = w.Commit(lake.Commit{At: e.Now(), Erases: true})
	e.Importer.step("lake erased")
	return err
}

// newest is the file that was written last: its columns are the table's now.
func newest(files []lake.File) (latest lake.File) {
	for _, f := range files {
		if filepath.Base(f.Path) >= filepath.Base(latest.Path) {
			latest = f
		}
	}
	return latest
}
