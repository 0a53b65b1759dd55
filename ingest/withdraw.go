package ingest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// Withdrawn says whose rows in the lake must be asked about again.
type Withdrawn struct {
	Persons  []PersonID
	Everyone bool // a basis or a text has ended: the lake is built anew
}

// sinceOf is the version of Basis that a lake was last written with.
func sinceOf(m lake.Manifest) string {
	at := strings.LastIndexByte(m.Known, '/') // what follows is of links
	return m.Known[:max(at, 0)]
}

// whose are those that a token may stand for.
type whose struct {
	persons []PersonID
	who     PersonID // under whom they are known
}

// withdraw erases rows of the lake whose use nothing allows any more. The lake
// knows the minute or the day of a row, and asks about its end: a consent that
// began within it covers the row that was taken in under it, and what was taken
// back within it counts as taken back.
func (r *pipelineRun) withdraw(ctx context.Context, persons []PersonID) error {
	if len(persons) == 0 {
		return nil
	}
	tokens, err := r.whose(ctx, persons)
	if err != nil {
		return err
	}
	rewrite, gone := map[string][]lake.File{}, map[string][]int64{}
	for _, f := range r.writer.Base().Files {
		if f.Table == tableOf(ShopDataset) {
			continue
		}
		if f.Table == tableOf(ResidentDataset) { // it was written anew already
			places, err := r.Lake.Places(ctx, f, []string{personToken}, func(b arrow.RecordBatch) ([]bool, error) { return holds(b, tokens) })
			if err != nil {
				return err
			}
			r.erases = r.erases || len(places) > 0
			continue
		}
		places, err := r.Lake.Places(ctx, f, []string{personToken, "source", lake.DayColumn, "occurred_local"}, func(b arrow.RecordBatch) ([]bool, error) {
			return r.uncovered(f.Table, b, tokens)
		})
		if err != nil {
			return err
		}
		if len(places) > 0 {
			rewrite[f.Table], gone[f.Path] = append(rewrite[f.Table], f), places
		}
	}
	for _, table := range sortedKeys(rewrite) {
		schema := r.schemas[table]
		if schema == nil {
			if schema, err = r.Lake.SchemaOf(newest(r.writer.Base().Table(table))); err != nil {
				return err
			}
		}
		dropped, err := r.writer.Rewrite(ctx, table, schema, rewrite[table], func(f lake.File) ([]int64, error) { return gone[f.Path], nil })
		if err != nil {
			return err
		}
		r.withdrawn += dropped
		r.erases = true
	}
	return nil
}

// whose are the tokens that persons and their links have, or had before they
// were linked.
func (r *pipelineRun) whose(ctx context.Context, persons []PersonID) (map[pseudonymize.Token]*whose, error) {
	same, err := r.Importer.Same(ctx, persons)
	if err != nil {
		return nil, err
	}
	tokens := map[pseudonymize.Token]*whose{}
	for _, p := range same {
		who := p
		if to, ok := r.join.links[personKey{p.Source, p.ID}]; ok {
			who = PersonID{to.source, to.id}
		}
		for _, under := range []PersonID{p, who} {
			t, err := tokenOf(r.tokens, under)
			if err != nil {
				return nil, err
			}
			if tokens[t] == nil {
				tokens[t] = &whose{who: who}
			}
			tokens[t].persons = append(tokens[t].persons, p, who)
		}
	}
	return tokens, nil
}

func holds(b arrow.RecordBatch, tokens map[pseudonymize.Token]*whose) ([]bool, error) {
	column, err := tokenColumn(b)
	if err != nil {
		return nil, err
	}
	marks := make([]bool, b.NumRows())
	for i := range marks {
		marks[i] = column.IsValid(i) && tokens[pseudonymize.Token(column.Value(i))] != nil
	}
	return marks, nil
}

// uncovered marks the rows of a batch that nothing covers any more.
func (r *pipelineRun) uncovered(table string, b arrow.RecordBatch, tokens map[pseudonymize.Token]*whose) ([]bool, error) {
	marks, err := holds(b, tokens)
	if err != nil || !slices.Contains(marks, true) {
		return marks, err
	}
	column, err := tokenColumn(b)
	if err != nil {
		return nil, err
	}
	source, err := textOf(b.Column(b.Schema().FieldIndices("source")[0]))
	if err != nil {
		return nil, err
	}
	at := endsOf(b)
	dataset := datasetOf(table)
	for i := range marks {
		if !marks[i] {
			continue
		}
		w, end := tokens[pseudonymize.Token(column.Value(i))], at(i)
		marks[i] = !slices.ContainsFunc(w.persons, func(p PersonID) bool {
			if p != w.who && p.Source != source(i) {
				return false
			}
			_, ok := r.Basis.Basis(dataset, p.Source, p.ID, end)
			return ok
		})
	}
	return marks, nil
}

// endsOf gives the last moment of what the lake knows of a row's time: of its
// minute, or of its day.
func endsOf(b arrow.RecordBatch) func(i int) time.Time {
	end := func(local time.Time, length time.Duration) time.Time {
		y, m, d := local.Date()
		return time.Date(y, m, d, local.Hour(), local.Minute(), 0, 0, tokyo).Add(length - time.Microsecond)
	}
	for _, at := range b.Schema().FieldIndices("occurred_local") {
		if c, ok := b.Column(at).(*array.Timestamp); ok {
			unit := c.DataType().(*arrow.TimestampType).Unit
			return func(i int) time.Time { return end(c.Value(i).ToTime(unit), time.Minute) }
		}
	}
	days := b.Column(b.Schema().FieldIndices(lake.DayColumn)[0]).(*array.Date32)
	return func(i int) time.Time { return end(days.Value(i).ToTime(), 24*time.Hour) }
}
