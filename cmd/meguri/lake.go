package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"meguri/analytics/duck"
	"meguri/pseudonymize/lake"
	"meguri/pseudonymize/lake/objects"
)

func (p *program) lakeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lake",
		Short: "レイクを見る・点検する・整理する・写す / show, verify, tidy and copy the lake",
		Long: `仮名加工情報のレイク（Parquetのフォルダ）を扱います。形と各列の意味は docs/lake.md にあります。

Shows, verifies, tidies and copies the lake, a folder of Parquet files. What is in
it says docs/lake.md.`,
	}
	c.AddCommand(p.lakeShowCommand(), p.lakeViewsCommand(), p.lakeVerifyCommand(), p.lakeCompactCommand(), p.lakeExpireCommand(), p.lakeRebuildCommand(),
		p.lakePushCommand(), p.lakePullCommand())
	return c
}

const secondLayout = "2006-01-02T15:04:05"

func (p *program) lakeShowCommand() *cobra.Command {
	var asOf string
	c := &cobra.Command{
		Use: "show", Args: cobra.NoArgs,
		Short: "表・行数・月・ファイル・スナップショットを見る / show tables, rows, months, files and snapshots",
		RunE: func(*cobra.Command, []string) error {
			l := p.lake()
			m, err := snapshotOf(l, asOf)
			if err != nil {
				return err
			}
			all, err := l.Snapshots()
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s\n", m.Label)
			fmt.Fprintf(p.stdout, "snapshot %d of %s, key epoch %d, %d segments\n",
				m.Snapshot, m.At.In(japan).Format(secondLayout), m.Epoch, len(m.Segments))
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "table\trows\tfiles\tbytes\tmonths\tpolicy\t")
			for _, t := range lake.Tables {
				files, bytes := m.Table(t.Name), int64(0)
				if len(files) == 0 {
					continue
				}
				for _, f := range files {
					bytes += f.Bytes
				}
				months := "whole"
				if first, last := m.Months(t.Name); t.Day != "" {
					months = first + "…" + last
				}
				numbers.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t\n", t.Name, m.Rows(t.Name), len(files), bytes, months, m.Policies[t.Name])
			}
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, "snapshots kept:")
			for _, s := range all {
				numbers.Fprintf(p.stdout, "  %d  %s  %d files\n", s.Snapshot, s.At.In(japan).Format(secondLayout), len(s.Files))
			}
			return nil
		},
	}
	asOfFlag(c, &asOf)
	return c
}

func asOfFlag(c *cobra.Command, asOf *string) {
	c.Flags().StringVar(asOf, "as-of", "", "what the lake held then, in Japan, such as 2026-11-20T18:00 or 2026-11-20T18:00:30")
}

// snapshotOf is what a lake holds, or held at a time.
func snapshotOf(l *lake.Lake, asOf string) (lake.Manifest, error) {
	m, err := l.Manifest()
	if err != nil {
		return m, err
	}
	if len(m.Files) == 0 && m.Snapshot == 0 {
		return m, errors.New("the lake is empty: run \"meguri pipeline\" first")
	}
	if asOf == "" {
		return m, nil
	}
	at, err := time.ParseInLocation(secondLayout, asOf, japan)
	if err != nil {
		if at, err = readMinute("as-of", asOf); err != nil {
			return m, err
		}
	}
	return l.AsOf(at)
}

func (p *program) lakeViewsCommand() *cobra.Command {
	var asOf string
	c := &cobra.Command{
		Use: "views", Args: cobra.NoArgs,
		Short: "DuckDBで読むための文を書き出す（表と来店のビュー） / write statements for DuckDB: a view of each table, and of visits",
		Long: `manifest.json にあるファイルだけを読むビューを、表ごとに一つと来店（visits）に一つ作るSQLを書き出します。行は読みません。

Writes SQL that makes a view of each table by the files that the manifest names, and
one of visits. It reads no row.`,
		Example: `  meguri lake views > views.sql
  duckdb -init views.sql -c "SELECT shop, count(*) FROM visits GROUP BY shop"`,
		RunE: func(*cobra.Command, []string) error {
			l := p.lake()
			m, err := snapshotOf(l, asOf)
			if err != nil {
				return err
			}
			return duck.WriteViews(p.stdout, l, m)
		},
	}
	asOfFlag(c, &asOf)
	return c
}

func (p *program) lake() *lake.Lake { return (&app{config: p.config}).lake() }

// everything are the files of all snapshots that a lake keeps, each once.
func everything(l *lake.Lake) (m lake.Manifest, snapshots int, err error) {
	all, err := l.Snapshots()
	seen := map[string]bool{}
	for _, s := range all {
		for _, f := range s.Files {
			if !seen[f.Path] {
				seen[f.Path] = true
				m.Files = append(m.Files, f)
			}
		}
	}
	return m, len(all), err
}

func (p *program) lakeVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [s3://bucket/prefix]",
		Short: "すべてのファイルを読み、ハッシュを確かめる / read every file and compare its SHA-256",
		Long: `Reads every file of every snapshot that is kept and compares it with the manifest,
and looks for Parquet files that no manifest names. The first fault is named, and
the exit code is 1. With an address the copy there is verified.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bar := p.progress("verify")
			progress := func(bytes, of int64) { bar.show(bytes, of, bytes, "bytes") }
			if len(args) > 0 {
				store, err := objects.Open(args[0], p.getenv)
				if err != nil {
					return err
				}
				m, err := store.Verify(cmd.Context(), progress)
				bar.end()
				if err == nil {
					numbers.Fprintf(p.stdout, "the copy is right: snapshot %d, %d files\n", m.Snapshot, len(m.Files))
				}
				return err
			}
			l := p.lake()
			m, snapshots, err := everything(l)
			if err == nil {
				err = l.Strays()
			}
			if err == nil {
				err = l.Verify(m, progress)
			}
			bar.end()
			if err == nil {
				numbers.Fprintf(p.stdout, "the lake is right: %d files of %d snapshots\n", len(m.Files), snapshots)
			}
			return err
		},
	}
}

func (p *program) lakeCompactCommand() *cobra.Command {
	var least int
	c := &cobra.Command{
		Use: "compact", Args: cobra.NoArgs,
		Short: "月ごとの小さなファイルを一つにする / put the files of each month together",
		Long: `Puts the files of each month into one, where there are at least so many. It makes a
snapshot; the old files stay until their snapshots expire. Rows do not change.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if least < 2 {
				return usageError{errors.New("lake compact: --least is 2 or more")}
			}
			w, err := p.lake().Begin(p.config.CityCode)
			if err != nil {
				return err
			}
			defer w.Abort() // nothing, after Commit
			merged, err := w.Compact(cmd.Context(), least)
			if err != nil {
				return err
			}
			if merged == 0 {
				fmt.Fprintf(p.stdout, "no month has %d files: nothing to do\n", least)
				return nil
			}
			m, err := w.Commit(lake.Commit{At: time.Now()})
			if err == nil {
				numbers.Fprintf(p.stdout, "merged %d files: snapshot %d has %d\n", merged, m.Snapshot, len(m.Files))
			}
			return err
		},
	}
	c.Flags().IntVar(&least, "least", 4, "months with at least so many files")
	return c
}

func (p *program) lakeExpireCommand() *cobra.Command {
	var keep string
	c := &cobra.Command{
		Use: "expire --keep 30d", Args: cobra.NoArgs,
		Short: "古いスナップショットを消す / forget old snapshots and the files that only they have",
		RunE: func(*cobra.Command, []string) error {
			age, err := readAge(keep)
			if err != nil {
				return err
			}
			l := p.lake()
			_, before, err := everything(l)
			if err != nil {
				return err
			}
			gone, err := l.Expire(time.Now().Add(-age))
			if err != nil {
				return err
			}
			_, after, err := everything(l)
			numbers.Fprintf(p.stdout, "forgot %d snapshots and %d files, kept %d snapshots\n", before-after, len(gone), after)
			return err
		},
	}
	c.Flags().StringVar(&keep, "keep", "30d", "keep snapshots of so many days (d) or hours (h); the present one always stays")
	return c
}

func readAge(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.ParseUint(number, 10, 16); err == nil {
				return time.Duration(n) * length, nil
			}
		}
	}
	return 0, usageError{fmt.Errorf("lake expire: --keep %q is no number of days or hours such as 30d or 12h", text)}
}

func (p *program) lakeRebuildCommand() *cobra.Command {
	c := p.pipelineCommand()
	c.Use, c.Short = "rebuild", "セグメントからレイクを作り直す / build the lake anew from all segments"
	c.Long = `Builds the lake anew from everything that was imported or pulled, as "meguri pipeline
--anew" does: after a new key, another policy, or when a file was changed. The
snapshots of before stay until they expire. When a file is missing, move the lake's
folder away first.`
	anew := c.Flags().Lookup("anew")
	_ = anew.Value.Set("true") // it is a flag of true and false
	anew.Hidden = true
	return c
}

const credentialsHelp = `
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say who asks, AWS_ENDPOINT_URL and
AWS_REGION where the store is (without them it is AWS's own).`

// withStore runs work on a copy of the lake.
func (p *program) withStore(what string,
	work func(ctx context.Context, s *objects.Store, l *lake.Lake, progress func(int64, int64)) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		store, err := objects.Open(args[0], p.getenv)
		if err != nil {
			return err
		}
		bar := p.progress(what)
		defer bar.end()
		return work(cmd.Context(), store, p.lake(), func(bytes, of int64) { bar.show(bytes, of, bytes, "bytes") })
	}
}

func (p *program) lakePushCommand() *cobra.Command {
	return forPurpose(&cobra.Command{
		Use:   "push s3://bucket/prefix",
		Short: "S3互換の保管庫へ写す / copy the lake to a store that speaks S3",
		Long: `Copies the present snapshot: files that are missing there first, manifest.json last,
and only if nobody else replaced it meanwhile. Then files that no longer count are
removed there, so that what was erased here is erased there. The purpose that the
copy is for is entered in the log of consents, with how easily a person can be
singled out in it: above the limit it is refused (see "meguri unicity").
` + credentialsHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStore("push", func(ctx context.Context, s *objects.Store, l *lake.Lake, progress func(int64, int64)) error {
				if err := p.with(func(a *app) error { return a.leave(ctx, a.config.Purpose, "lake push "+args[0]) }); err != nil {
					return err
				}
				done, err := s.Push(ctx, l, progress)
				if err == nil {
					numbers.Fprintf(p.stdout, "pushed snapshot %d: %d files sent (%d bytes), %d there already, %d removed\n",
						done.Snapshot, done.Sent, done.Bytes, done.There, done.Removed)
				}
				return err
			})(cmd, args)
		},
	})
}

func (p *program) lakePullCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pull s3://bucket/prefix",
		Short: "保管庫から写す / bring the lake here from a store that speaks S3",
		Long: `Brings the copy's snapshot here: downloads what is missing, verifies every hash, and
puts the manifest in place last. The lake here must be empty or an earlier state.
` + credentialsHelp,
		Args: cobra.ExactArgs(1),
		RunE: p.withStore("pull", func(ctx context.Context, s *objects.Store, l *lake.Lake, progress func(int64, int64)) error {
			m, err := s.Pull(ctx, l, progress)
			if err == nil {
				numbers.Fprintf(p.stdout, "pulled snapshot %d: %d files in %s\n", m.Snapshot, len(m.Files), filepath.ToSlash(l.Dir()))
			}
			return err
		}),
	}
}
