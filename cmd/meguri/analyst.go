package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/analytics/duck"
	"meguri/analytics/flight"
	"meguri/analytics/flight/sqlstore"
	"meguri/api"
)

func (p *program) analystCommand() *cobra.Command {
	analyst := &cobra.Command{
		Use:   "analyst",
		Short: "let contractors and joint users query the lake, for a purpose and a time, with a log",
		Long: `委託先・共同利用先の分析者に、目的と期限を決めてレイク（仮名加工情報）を使わせます。
すべてのセッションと文を記録します。個人情報保護法 第27条第5項第1号（委託）・第3号（共同利用）、第41条。

Lets analysts of a contractor or joint user work with the lake's pseudonymized rows:
each has a grant with a purpose, a basis in law and an end, and everything is logged.`,
	}
	analyst.AddCommand(p.analystGrantCommand(), p.analystListCommand(), p.analystRevokeCommand(), p.analystLogCommand(),
		p.analystServeCommand(), p.analystExportCommand())
	return analyst
}

func (a *app) analysts(ctx context.Context) (*sqlstore.Store, error) {
	db, err := a.database(ctx, "analysts.sqlite")
	if err != nil {
		return nil, err
	}
	return sqlstore.Open(ctx, db)
}

// withAnalysts runs a command's work on the analysts' store.
func (p *program) withAnalysts(work func(context.Context, *app, *sqlstore.Store) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return p.with(func(a *app) error {
			store, err := a.analysts(cmd.Context())
			if err != nil {
				return err
			}
			return work(cmd.Context(), a, store)
		})
	}
}

// japan is where the times of the command line are.
var japan = time.FixedZone("Asia/Tokyo", 9*60*60)

const minuteLayout = "2006-01-02T15:04"

func readMinute(flag, text string) (time.Time, error) {
	t, err := time.ParseInLocation(minuteLayout, text, japan)
	if err != nil {
		return t, usageError{fmt.Errorf("--%s %q is no time in Japan such as 2026-12-31T18:00", flag, text)}
	}
	return t, nil
}

func (p *program) analystGrantCommand() *cobra.Command {
	var g flight.Grant
	var basis, from, until string
	c := &cobra.Command{
		Use:   "grant --name … --organisation … --basis contract|joint_use --purpose … --until 2026-12-31T18:00",
		Short: "make a grant; its token is shown once",
		Long: `分析者に利用許可を出し、トークンを一度だけ表示します。期限のない許可、目的のない許可はありません。

--basis contract   委託（個人情報保護法 第27条第5項第1号）
--basis joint_use  共同利用（同 第27条第5項第3号。共同利用する旨などの公表が先に要ります）

Times are Japan's. Tables: ` + strings.Join(duck.SandboxTables, ", ") + ` (default: payment and movement).`,
		Args: cobra.NoArgs,
		RunE: p.withAnalysts(func(ctx context.Context, a *app, store *sqlstore.Store) (err error) {
			now := time.Now()
			g.Basis, g.CreatedAt, g.From = flight.Basis(basis), now, now
			if from != "" {
				if g.From, err = readMinute("from", from); err != nil {
					return err
				}
			}
			if g.Until, err = readMinute("until", until); err != nil {
				return err
			}
			if err := g.Check(now); err != nil {
				return usageError{err}
			}
			id := make([]byte, 5)
			_, _ = rand.Read(id) // never fails, see crypto/rand
			token := api.NewToken()
			g.ID, g.TokenDigest = "an-"+hex.EncodeToString(id), api.TokenDigest(token)
			if err := a.leave(ctx, g.Purpose, "analyst grant "+g.ID); err != nil {
				return err
			}
			if err := store.PutGrant(ctx, g); err != nil {
				return err
			}
			fmt.Fprintf(p.stderr, "made grant %s until %s: give the token to %s, it is not shown again\n", g.ID, until, g.Name)
			fmt.Fprintln(p.stdout, token)
			return nil
		}),
	}
	c.Flags().StringVar(&g.Name, "name", "", "the analyst (氏名)")
	c.Flags().StringVar(&g.Organisation, "organisation", "", "the contractor or joint user (所属)")
	c.Flags().StringVar(&basis, "basis", "", "contract (委託) or joint_use (共同利用)")
	c.Flags().StringVar(&g.Purpose, "purpose", "", "code of the purpose of use (利用目的の番号), see \"meguri purpose list\"")
	c.Flags().StringVar(&from, "from", "", "when it begins, in Japan (default: now)")
	c.Flags().StringVar(&until, "until", "", "when it ends, in Japan (期限)")
	c.Flags().Int64Var(&g.Most.Rows, "total-rows", 10_000_000, "the most rows of all answers and files together (総行数)")
	c.Flags().Int64Var(&g.Most.Bytes, "total-bytes", 4<<30, "the most bytes of them (総バイト数)")
	c.Flags().StringSliceVar(&g.Tables, "tables", []string{"payment", "movement"}, "tables that may be read")
	return c
}

func (p *program) analystListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list grants with their state, and how much of each is used", Args: cobra.NoArgs,
		RunE: p.withAnalysts(func(ctx context.Context, _ *app, store *sqlstore.Store) error {
			grants, err := store.Grants(ctx)
			if err != nil {
				return err
			}
			for _, g := range grants {
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d of %d rows\t%d of %d bytes\t%s\n", g.ID, g.State(time.Now()), g.Basis, g.Name,
					g.Organisation, g.Until.In(japan).Format(minuteLayout), strings.Join(g.Tables, ","), g.Used.Rows, g.Most.Rows, g.Used.Bytes, g.Most.Bytes, g.Purpose)
			}
			return nil
		}),
	}
}

func (p *program) analystRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke GRANT", Short: "take a grant back; sessions that are open get no answer any more", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAnalysts(func(ctx context.Context, _ *app, store *sqlstore.Store) error {
				if err := store.Revoke(ctx, args[0], time.Now()); err != nil {
					return fmt.Errorf("revoke %s: %w", args[0], err)
				}
				return nil
			})(cmd, args)
		},
	}
}

func (p *program) analystLogCommand() *cobra.Command {
	var grant string
	c := &cobra.Command{
		Use: "log", Short: "show what was done: sessions, statements, provisions", Args: cobra.NoArgs,
		Long: `記録を表示します。Columns: number, time in Japan, kind, outcome, grant, who, snapshot, rows, bytes, seconds,
session, statement's text, values, recipient, file, SHA-256.`,
		RunE: p.withAnalysts(func(ctx context.Context, _ *app, store *sqlstore.Store) error {
			const page = 1000
			after := int64(0)
			for {
				entries, err := store.Entries(ctx, grant, after, page)
				if err != nil {
					return err
				}
				for _, e := range entries {
					fmt.Fprintf(p.stdout, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%.3f\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Number,
						e.At.In(japan).Format(time.RFC3339), e.Kind, e.Outcome, e.Grant, e.Who, e.Snapshot, e.Rows, e.Bytes, e.Took.Seconds(),
						e.Session, strconv.Quote(e.Text), strconv.Quote(e.Parameters), e.Recipient, e.File, e.SHA256)
					after = e.Number
				}
				if len(entries) < page {
					return nil
				}
			}
		}),
	}
	c.Flags().StringVar(&grant, "grant", "", "only of this grant")
	return c
}

func (p *program) analystServeCommand() *cobra.Command {
	var o flight.Options
	var address, cert, key string
	c := &cobra.Command{
		Use:   "serve",
		Short: "serve the lake by Arrow Flight SQL until interrupted",
		Long: `許可を持つ分析者に、レイクを Arrow Flight SQL（gRPC）で使わせます。ADBC、JDBC などから接続できます。
TLS の証明書がなければ、この機械の中（127.0.0.1）からの接続だけを受けます。

Each connection has a database of its own that reads one snapshot of the lake and nothing
else. Answers above the limits are refused, never cut. Run it as a user of its own that may
read the lake's folder and write the analysts' database, and nothing more.`,
		Args: cobra.NoArgs,
		RunE: p.withAnalysts(func(ctx context.Context, a *app, store *sqlstore.Store) error {
			if (cert == "") != (key == "") {
				return usageError{errors.New("--tls-cert and --tls-key go together")}
			}
			var certificate *tls.Certificate
			if cert != "" {
				pair, err := tls.LoadX509KeyPair(cert, key)
				if err != nil {
					return fmt.Errorf("read certificate: %w", err)
				}
				certificate = &pair
			}
			o.Lake, o.Store, o.Digest, o.Now, o.Logger = a.lake(), store, api.TokenDigest, time.Now, a.logger
			s, err := flight.New(o, certificate)
			if err != nil {
				return err
			}
			l, err := flight.Listen(address, certificate != nil)
			if err != nil {
				return err
			}
			scheme := "grpc://"
			if certificate != nil {
				scheme = "grpc+tls://"
			}
			failed := make(chan error, 1)
			go func() { failed <- s.Serve(l) }()
			if p.config.AddressFile != "" {
				if err := writeFile(p.config.AddressFile, func(w io.Writer) error {
					_, err := io.WriteString(w, scheme+l.Addr().String())
					return err
				}); err != nil {
					s.Stop()
					return errors.Join(fmt.Errorf("write address: %w", err), <-failed)
				}
			}
			a.logger.Info("serving analysts", "address", scheme+l.Addr().String())
			select {
			case err := <-failed:
				s.Stop()
				return fmt.Errorf("serve: %w", err)
			case <-ctx.Done():
				s.Stop()
				return <-failed
			}
		}),
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:8815", "address to serve on; port 0 takes a free one")
	c.Flags().String("address-file", "", "file to write the address to once the server answers")
	c.Flags().StringVar(&cert, "tls-cert", "", "file with the certificate (PEM)")
	c.Flags().StringVar(&key, "tls-key", "", "file with its key (PEM)")
	c.Flags().Int64Var(&o.Rows, "max-rows", 100_000, "the most rows of an answer")
	c.Flags().Int64Var(&o.Bytes, "max-bytes", 64<<20, "the most bytes of an answer")
	c.Flags().DurationVar(&o.Timeout, "timeout", time.Minute, "the longest that a statement may run")
	c.Flags().IntVar(&o.MemoryMiB, "memory-mib", 512, "memory of each session's database")
	c.Flags().IntVar(&o.Threads, "threads", 2, "threads of each session's database")
	c.Flags().IntVar(&o.Sessions, "max-sessions", 8, "the most sessions at a time")
	c.Flags().IntVar(&o.SessionsPerGrant, "max-sessions-per-grant", 4, "the same, of one grant")
	return c
}

func (p *program) analystExportCommand() *cobra.Command {
	var x flight.Export
	var file string
	c := &cobra.Command{
		Use:   "export --grant … --query FILE --out FILE.parquet --recipient … --purpose …",
		Short: "write rows to a file for a joint user, with label and record",
		Long: `共同利用先に渡す行を Parquet に書き、提供を記録します。ファイル名とファイルの中に「仮名加工情報」と書きます。
委託の許可や、その他の外部への提供には使えません。外に出せるのは秘匿処理を通した統計だけです
（meguri metrics run、画面、統計API）。

Prints the file's name and SHA-256. An existing file is never replaced.`,
		Args: cobra.NoArgs,
		RunE: p.withAnalysts(func(ctx context.Context, a *app, store *sqlstore.Store) error {
			for flag, value := range map[string]string{"grant": x.Grant, "query": file, "out": x.Out, "recipient": x.Recipient, "purpose": x.Purpose} {
				if strings.TrimSpace(value) == "" {
					return usageError{fmt.Errorf("an export needs --%s", flag)}
				}
			}
			if err := a.leave(ctx, x.Purpose, "analyst export under "+x.Grant); err != nil {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read query: %w", err)
			}
			x.Lake, x.Store, x.Now, x.Query = a.lake(), store, time.Now, string(text)
			done, err := x.Write(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s\t%d rows\tsha256 %s\n", done.File, done.Rows, done.SHA256)
			return nil
		}),
	}
	c.Flags().StringVar(&x.Grant, "grant", "", "the grant, of basis joint_use")
	c.Flags().StringVar(&file, "query", "", "file with one SELECT")
	c.Flags().StringVar(&x.Out, "out", "", "the file to write; 仮名加工情報 is put in its name")
	c.Flags().StringVar(&x.Recipient, "recipient", "", "who receives it (提供先)")
	c.Flags().StringVar(&x.Purpose, "purpose", "", "code of the purpose of use (利用目的の番号): the grant's")
	c.Flags().Int64Var(&x.Rows, "max-rows", 10_000_000, "the most rows that may leave")
	c.Flags().IntVar(&x.MemoryMiB, "memory-mib", 2048, "memory of the database")
	return c
}
