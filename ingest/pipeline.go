package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"meguri/pseudonymize"
	"meguri/pseudonymize/lake"
)

// Pipeline takes segments into the lake: it joins each record with what is
// known of the person and the shop, on the personal plane, asks whether it may
// be used, pseudonymizes the joined row, and writes it. The order is the law's:
// matching first, while the data are personal data, and none after.
//
// A row whose person is not linked to a resident yet, or that nothing allows to
// be used yet, is held: it lies in a file of the personal plane that the lake's
// manifest names, and is looked at again when links or consents have changed.
// So one rename commits what went into the lake and what did not.
type Pipeline struct {
	Importer *Importer
	Lake     *lake.Lake
	City     string // code of the municipality that the rows are filed under
	Keys     *pseudonymize.Keyset
	Policies map[string]pseudonymize.Policy // by dataset
	Basis    Basis
	Linked   []string // sources whose persons count only once they are linked
	Anew     bool     // build the lake anew from all segments, with the present key
	Now      func() time.Time
	// Withdrawn says whose basis may have been taken back since a version of
	// Basis; without it nothing of the lake is looked at again. It may be nil.
	Withdrawn func(ctx context.Context, since string) (Withdrawn, error)

	// More, if set, is called when all segments are taken in: it waits for others,
	// and returns false when an import that goes on at the same time has ended.
	More func(ctx context.Context) (bool, error)

	Progress func(rows, of int64)                   // may be nil
	Report   func([]Processed, lake.Manifest) error // may be nil
}

// Processed tells what a run did with a dataset.
type Processed struct {
	pseudonymize.Report
	Read, Held, Excluded int64 // rows that were looked at, held, and left out as those of test users
}

// Basis is the law's side of the pipeline: on which basis may a row be used?
type Basis interface {
	// Basis returns the consent or other basis that covers a row of a person.
	Basis(dataset, source, person string, at time.Time) (id string, ok bool)
	// Version changes whenever an answer may have changed.
	Version() string
}

// Result says what a run of the pipeline did.
type Result struct {
	Segments  int   // taken in by this run
	Rows      int64 // written by this run, of all datasets
	Excluded  int64 // rows of test users, left out
	Unlinked  int64 // rows held for a link, after the run
	Uncovered int64 // rows held for a legal basis, after the run
	Snapshot  int64 // of the lake, after the run
	Total     int64 // rows in the lake, of all datasets
	Withdrawn int64 // rows that were erased from the lake, since nothing allows their use any more
}

// tableOf is the lake's table of a dataset.
func tableOf(dataset string) string { return dataset + "s" }

// Run takes in the segments that the lake does not have. They all become part
// of the lake at once; a run that fails leaves the lake as it was, and the next
// one begins anew.
func (p *Pipeline) Run(ctx context.Context) (Result, error) {
	result, err := p.run(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("pipeline: %w", err)
	}
	return result, nil
}

func (p *Pipeline) run(ctx context.Context) (_ Result, err error) {
	r := &pipelineRun{Pipeline: p, plans: map[string]*pseudonymize.Plan{}, done: map[string]*Processed{}, schemas: map[string]*arrow.Schema{}, in: map[int64]bool{}}
	if r.tokens, err = pseudonymize.NewTokenizer(p.Keys); err != nil {
		return Result{}, err
	}
	if _, err := r.plan(PaymentDataset, joinedSchema(PaymentDataset)); err != nil { // a policy that does not fit is told before the work
		return Result{}, err
	}
	if r.join, err = newJoiner(ctx, p); err != nil {
		return Result{}, err
	}
	if r.writer, err = p.Lake.Begin(p.City); err != nil {
		return Result{}, err
	}
	defer func() {
		if err != nil {
			r.writer.Abort()
		}
	}()
	before, anew := r.writer.Base(), p.Anew
	known := p.Basis.Version() + "/" + r.join.version
	changed := before.Known != "" && before.Known != known
	anew = anew || r.join.correctedSince(before.Known)
	var back Withdrawn
	if changed && p.Withdrawn != nil {
		if back, err = p.Withdrawn(ctx, sinceOf(before)); err != nil {
			return Result{}, err
		}
		anew = anew || back.Everyone // every row is asked about again
	}
	if anew {
		r.writer.Anew()
		r.before, r.erases = before, changed
	}
	base := r.writer.Base()
	if base.Epoch != 0 && base.Epoch != p.Keys.Epoch() { // before the work, not at its end
		return Result{}, lake.ErrEpoch
	}
	again := base.Known != known // a held row may go on now
	for _, n := range base.Segments {
		r.in[n] = true
	}
	segments, err := r.new(ctx)
	if err != nil {
		return Result{}, err
	}
	held := base.Held
	idle := func(segments int) bool { return segments == 0 && (!again || base.Snapshot == 0) }
	if p.More == nil && idle(len(segments)) {
		r.writer.Abort()
		return r.result(base), nil
	}
	if r.hold, err = p.Importer.newHolder(base.Snapshot + 1); err != nil {
		return Result{}, err
	}
	defer r.hold.abort()
	if !again || anew {
		r.hold.kept = held
		held = nil
	}
	if anew { // segments have them all
		r.hold.kept = nil
	}
	if err := r.work(ctx, segments, held); err != nil {
		return Result{}, err
	}
	if idle(len(r.taken)) {
		r.writer.Abort()
		return r.result(base), nil
	}
	if !anew {
		if err := r.withdraw(ctx, back.Persons); err != nil {
			return Result{}, fmt.Errorf("erase what was withdrawn: %w", err)
		}
	} else if back.Everyone {
		r.withdrawn = max(0, rowsOf(before)-r.anew)
	}
	return r.commit(ctx, known)
}

// new are the segments that are neither in the lake nor taken in.
func (r *pipelineRun) new(ctx context.Context) ([]Segment, error) {
	segments, err := r.Importer.Segments(ctx)
	segments = slices.DeleteFunc(segments, func(s Segment) bool { return r.in[s.Number] })
	for _, s := range segments {
		r.of.Add(s.Rows)
	}
	return segments, err
}

// pipelineRun is one run.
type pipelineRun struct {
	*Pipeline
	tokens *pseudonymize.Tokenizer
	plans  map[string]*pseudonymize.Plan // by dataset
	done   map[string]*Processed
	writer *lake.Writer
	join   *joiner
	hold   *holder

	before  lake.Manifest            // of a lake that is built anew
	schemas map[string]*arrow.Schema // of the tables that were written

	in        map[int64]bool // segments in the lake or taken in
	taken     []int64        // by this run
	of        atomic.Int64   // rows to come, as far as is known
	rows      int64
	excluded  int64
	anew      int64 // rows of segments that were in the lake that is built anew
	withdrawn int64
	known     bool // the segment that is read was in that lake
	erases    bool // something of the lake must be nowhere after the run
}

// plan is the policy of a dataset made ready, when the first row of it comes.
func (r *pipelineRun) plan(dataset string, schema *arrow.Schema) (*pseudonymize.Plan, error) {
	if plan := r.plans[dataset]; plan != nil {
		return plan, nil
	}
	policy, ok := r.Policies[dataset]
	if !ok {
		return nil, fmt.Errorf("%w: there is none for %s", pseudonymize.ErrPolicy, dataset)
	}
	plan, err := policy.Compile(schema, r.tokens, r.Now())
	if err != nil {
		return nil, fmt.Errorf("policy of %s: %w", dataset, err)
	}
	r.plans[dataset], r.done[dataset] = plan, &Processed{}
	return plan, nil
}

// commit makes the run's work count.
func (r *pipelineRun) commit(ctx context.Context, known string) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	held, err := r.hold.end()
	if err != nil {
		return Result{}, err
	}
	versions := map[string]string{}
	for dataset := range r.plans {
		versions[tableOf(dataset)] = r.Policies[dataset].Version
	}
	m, err := r.writer.Commit(lake.Commit{Segments: r.taken, Policies: versions, Epoch: r.Keys.Epoch(), At: r.Now(), Held: held, Known: known, Erases: r.erases})
	if err != nil {
		return Result{}, err
	}
	r.hold.committed(m)
	if r.Report != nil {
		var all []Processed
		for _, dataset := range sortedKeys(r.plans) {
			done := *r.done[dataset]
			done.Report = r.plans[dataset].Report()
			all = append(all, done)
		}
		if err := r.Report(all, m); err != nil {
			return Result{}, err
		}
	}
	return r.result(m), nil
}

func (r *pipelineRun) result(m lake.Manifest) Result {
	out := Result{Segments: len(r.taken), Rows: r.rows, Excluded: r.excluded, Snapshot: m.Snapshot, Total: rowsOf(m), Withdrawn: r.withdrawn}
	for _, h := range m.Held {
		out.Unlinked += h.Unlinked
		out.Uncovered += h.Uncovered
	}
	return out
}

// rowsOf are the rows of a lake; residents and shops are attributes.
func rowsOf(m lake.Manifest) (rows int64) {
	for _, t := range lake.Tables {
		if t.Day != "" {
			rows += m.Rows(t.Name)
		}
	}
	return rows
}

// ErrSegmentChanged: a segment is not what the importer wrote.
var ErrSegmentChanged = errors.New("the file was changed")
