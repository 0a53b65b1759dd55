package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
	"meguri/ingest/consent"
	"meguri/pseudonymize"
	"meguri/pseudonymize/evidence"
	"meguri/pseudonymize/lake"
)

func (p *program) pipelineCommand() *cobra.Command {
	var pull bool
	var from providerFlags
	c := &cobra.Command{
		Use:   "pipeline",
		Short: "pull new payments, pseudonymize what is new, and add it to the lake",
		Long: `Pulls what is new from the ledger through the standard payment-data API, then
takes everything that was imported or pulled and is not in the lake yet through
pseudonymization into the lake. It may be stopped at any time and run again:
nothing is lost and nothing is counted twice.

By default the API is served for the run itself on a local port. With --url it
is the one of a running server, called with the token in MEGURI_TOKEN.`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&pull, "pull", true, "pull from the ledger first")
	c.Flags().StringVar(&from.url, "url", "", "address of a running server, http://host:port")
	c.Flags().BoolVar(&from.attributes, "attributes", true, "the server has residents and shops too, as ours has")
	policyFiles := c.Flags().StringArray("policy", nil, "field policy (YAML) of a dataset instead of the one that comes with the program")
	anew := c.Flags().Bool("anew", false, "build the lake anew from all segments, as after a new key or another policy")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		keys, err := p.readKeys()
		if err != nil {
			return err
		}
		policies := pseudonymize.Policies()
		for _, file := range *policyFiles {
			policy, err := readPolicy(file)
			if err != nil {
				return err
			}
			policies[policy.Dataset] = policy
		}
		p.quiet()
		return p.with(func(a *app) error {
			importer, err := a.importer(ctx)
			if err != nil {
				return err
			}
			if pull {
				if err := p.pull(ctx, a, importer, from); err != nil {
					return err
				}
			}
			return p.pipeline(ctx, a, importer, keys, policies, *anew, nil)
		})
	}
	return c
}

// providerFlags say where payments are pulled from.
type providerFlags struct {
	url        string // empty: from our own ledger, served for the run
	token      string
	attributes bool
}

// pull takes payments in over HTTP, from a running server or from one of its
// own.
func (p *program) pull(ctx context.Context, a *app, importer *ingest.Importer, from providerFlags) error {
	if from.url != "" {
		from.token = p.getenv("MEGURI_TOKEN")
		return p.pullFrom(ctx, importer, from)
	}
	store, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	guests := &guests{Store: store}
	handler, err := a.handler(ctx, store, guests)
	if err != nil {
		return err
	}
	s, err := listen("127.0.0.1:0", handler, a.logger)
	if err != nil {
		return err
	}
	return errors.Join(p.pullFrom(ctx, importer, guests.pipeline(s.address)), s.stop())
}

func (p *program) pullFrom(ctx context.Context, importer *ingest.Importer, from providerFlags) error {
	provider, err := ingest.Connect(p.config.Provider, from.url, from.token, &http.Client{Timeout: time.Minute})
	if err != nil {
		return err
	}
	if !from.attributes {
		provider.Wallet = nil
	}
	bar := p.progress("pull")
	summary, err := importer.Pull(ctx, provider, func(records int64) { bar.show(0, 0, records, "records") })
	bar.end()
	if err != nil {
		return err
	}
	p.printSummary("pulled from "+p.config.Provider, summary)
	return nil
}

// pipeline runs the pipeline. If an import goes on beside it, loaded is closed
// when that has ended.
func (p *program) pipeline(ctx context.Context, a *app, importer *ingest.Importer, keys *pseudonymize.Keyset,
	policies map[string]pseudonymize.Policy, anew bool, loaded <-chan struct{}) error {
	basis, err := p.basis(ctx, a)
	if err != nil {
		return err
	}
	desk, err := a.consents(ctx)
	if err != nil {
		return err
	}
	roomy()
	bar := p.progress("pseudonymize")
	run := &ingest.Pipeline{
		Importer: importer, Lake: a.lake(), City: a.config.CityCode, Keys: keys, Policies: policies, Basis: basis, Linked: a.config.Linked,
		Anew: anew, Now: time.Now, Withdrawn: p.withdrawn(desk),
		Progress: func(rows, of int64) { bar.show(rows, of, rows, "rows") },
		Report:   p.evidence,
	}
	if loaded != nil {
		run.More = untilLoaded(loaded)
		run.Progress = func(rows, of int64) {
			select {
			case <-loaded: // until then the import shows how far it is
				bar.show(rows, of, rows, "rows")
			default:
			}
		}
	}
	result, err := run.Run(ctx)
	bar.end()
	if err != nil {
		return err
	}
	numbers.Fprintf(p.stdout, "lake: snapshot %d, %d rows (%d new, %d of test users left out)\n",
		result.Snapshot, result.Total, result.Rows, result.Excluded)
	if result.Withdrawn > 0 {
		numbers.Fprintf(p.stdout, "withdrawn: %d rows erased from the lake, since no consent or other basis covers them any more\n", result.Withdrawn)
	}
	if result.Uncovered > 0 {
		numbers.Fprintf(p.stdout, "held: %d rows that no consent or other basis covers for the purpose %q: see \"meguri consent\" and \"meguri basis\"\n",
			result.Uncovered, p.config.Purpose)
	}
	if result.Unlinked > 0 {
		numbers.Fprintf(p.stdout, "held: %d rows of persons who are not linked to a resident: see \"meguri link\"\n", result.Unlinked)
	}
	return nil
}

// untilLoaded looks for new segments now and then until an import has ended.
func untilLoaded(loaded <-chan struct{}) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-loaded:
			return false, nil
		case <-time.After(50 * time.Millisecond):
			return true, nil
		}
	}
}

// roomy lets memory grow up to a gibibyte before the collector works harder than
// it must: batches come and go, and what stays is small.
func roomy() {
	debug.SetGCPercent(300)
	debug.SetMemoryLimit(1 << 30)
}

// evidence writes the record of what was done to each dataset (Rule 31).
func (p *program) evidence(all []ingest.Processed, m lake.Manifest) error {
	for _, done := range all {
		var files []evidence.File
		for _, f := range m.Files {
			if n, _ := f.Snapshot(); n == m.Snapshot && f.Table == done.Policy.Dataset+"s" {
				files = append(files, evidence.File{Path: f.Path, Rows: f.Rows, SHA256: f.SHA256})
			}
		}
		dir := filepath.Join(p.config.Dir, "personal", "evidence", fmt.Sprintf("%06d", m.Snapshot), done.Policy.Dataset)
		_, err := evidence.Write(dir, done.Report, evidence.Run{
			At: m.At, Project: p.config.Project, Epoch: m.Epoch, Snapshot: m.Snapshot, Program: version,
			RowsRead: done.Read, Held: done.Held, Excluded: done.Excluded, Files: files,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lawful answers the pipeline from the log of consents.
type lawful struct {
	*consent.Coverage
	ended int // texts and bases that are over, which no entry of the log tells
}

// Version implements ingest.Basis.
func (l lawful) Version() string { return fmt.Sprintf("%s %d %d", l.Purpose, l.Last, l.ended) }

// withdrawn asks the log whose basis was taken back since a version.
func (p *program) withdrawn(desk *consent.Desk) func(context.Context, string) (ingest.Withdrawn, error) {
	return func(ctx context.Context, since string) (ingest.Withdrawn, error) {
		var number, ended int64
		version, ok := strings.CutPrefix(since, p.config.Purpose+" ")
		if n, err := fmt.Sscan(version, &number, &ended); !ok || n < 2 || err != nil {
			return ingest.Withdrawn{Everyone: true}, nil // of another purpose, or of an earlier version of the program
		}
		c, err := desk.ChangedSince(ctx, number)
		w := ingest.Withdrawn{Everyone: c.Everyone}
		for _, who := range c.Persons {
			w.Persons = append(w.Persons, ingest.PersonID{Source: who.Source, ID: who.ID})
		}
		return w, err
	}
}

// basis takes a snapshot of what may be used for the configured purpose, after
// the registry's new consents were carried over to the log.
func (p *program) basis(ctx context.Context, a *app) (ingest.Basis, error) {
	desk, err := a.consents(ctx)
	if err != nil {
		return nil, err
	}
	if text := p.config.ConsentText; text != "" {
		faulty := int64(0)
		if _, err := desk.Carry(ctx, text, "pipeline", a.registered(ctx), func(int64, error) { faulty++ }); err != nil {
			return nil, fmt.Errorf("carry consents over: %w", err)
		}
		if faulty > 0 {
			numbers.Fprintf(p.stderr, "%d consents of the registry do not hold: \"meguri consent carry --text %s\" names them\n", faulty, text)
		}
	}
	coverage, err := desk.Coverage(ctx, p.config.Purpose, time.Now())
	if errors.Is(err, consent.ErrUnpublished) || errors.Is(err, consent.ErrNotFound) || errors.Is(err, consent.ErrEnded) {
		return nil, fmt.Errorf("the data are pseudonymized for the purpose %q, which is not published yet or has ended: "+
			"\"meguri purpose add\" and \"meguri purpose publish\" it, or set another (purpose in the configuration): %w", p.config.Purpose, err)
	}
	if err != nil {
		return nil, err
	}
	register, err := desk.Register(ctx)
	if err != nil {
		return nil, err
	}
	today, ended := consent.Day(time.Now()), 0
	for _, t := range register.Texts {
		if t.EndsOn < today {
			ended++
		}
	}
	for _, b := range register.Bases {
		if b.Until < today {
			ended++
		}
	}
	return lawful{coverage, ended}, nil
}
