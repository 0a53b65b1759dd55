package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
	"meguri/ingest/consent"
	consentstore "meguri/ingest/consent/sqlstore"
)

// consents opens the log of consents and what belongs to it.
func (a *app) consents(ctx context.Context) (*consent.Desk, error) {
	db, err := a.database(ctx, filepath.Join("personal", "consent.sqlite"))
	if err != nil {
		return nil, err
	}
	store, err := consentstore.Open(ctx, db)
	if err != nil {
		return nil, err
	}
	return &consent.Desk{Store: store, Now: time.Now}, nil
}

// withConsents runs a command's work on the log of consents.
func (p *program) withConsents(run func(context.Context, *app, *consent.Desk, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return p.with(func(a *app) error {
			desk, err := a.consents(cmd.Context())
			if err != nil {
				return err
			}
			return run(cmd.Context(), a, desk, args)
		})
	}
}

// by is the flag that says who does something; nothing is written without.
func by(c *cobra.Command, who *string) *cobra.Command {
	c.Flags().StringVar(who, "by", "", "だれが行うか（氏名または職名）/ who does it")
	_ = c.MarkFlagRequired("by") // it was added the line before
	return c
}

func (p *program) consentCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "consent", Short: "同意文の版、同意の記録、撤回 / texts of consent, receipts, withdrawals",
		Long: `住民に示した同意文の版、だれが何に同意したか、撤回を、書き換えられない記録に残します。
公表していない利用目的、事前にチェックの入った画面、保護者のいない子どもの同意は記録できません。
docs/safety/rules.md に全体の流れがあります。

Keeps the texts that residents were shown, their receipts and withdrawals in a log
that is only appended to.`,
	}
	text := &cobra.Command{Use: "text", Short: "同意文の版 / versions of the text"}
	text.AddCommand(p.consentTextAdd(), p.consentTextList(), p.consentTextShow(), &cobra.Command{
		Use: "example", Short: "同意文のひな形を表示する / print a text to begin with", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { _, err := io.WriteString(p.stdout, consent.Example); return err },
	})
	c.AddCommand(text, p.consentRecord(), p.consentWithdraw(), p.consentShow(), p.consentImport(), p.consentCarry(), p.consentVerify())
	return c
}

func (p *program) consentTextAdd() *cobra.Command {
	var who string
	return by(&cobra.Command{
		Use: "add FILE.yaml", Short: "同意文の新しい版を登録する。登録した版は変えられない / enter a version; it is never changed", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			document, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			t, err := consent.ParseText(document)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := desk.AddText(ctx, t, who); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "text %s, SHA-256 %s\n", t.Key(), t.Hash)
			return nil
		}),
	}, &who)
}

func (p *program) consentTextList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "版の一覧 / list versions", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			for _, t := range r.Texts {
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\n", t.Key(), t.EndsOn, strings.Join(t.Purposes, " "), strings.Join(t.Items, " "), t.Hash[:16])
			}
			return nil
		}),
	}
}

func (p *program) consentTextShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID/VERSION/LANGUAGE", Short: "示した文を表示する / show what was shown", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			t, err := r.Text(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s\n\n%s\n事業者：%s、%s、%s\n項目：%s\n取得元：%s\n利用目的：\n", t.Title, t.Body, t.Controller.Name, t.Controller.Address,
				t.Controller.Representative, strings.Join(t.Items, "、"), strings.Join(t.Sources, "、"))
			for _, code := range t.Purposes {
				purpose, err := r.Purpose(code)
				if err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "  %s %s\n", code, purpose.Ja)
			}
			yes := map[bool]string{true: "する", false: "しない"}
			fmt.Fprintf(p.stdout, "突合：%s　仮名加工：%s　統計の提供：%s\n対象データ：%s から %s まで\n事業の終わり：%s\n撤回：%s\n委託：%s\n外国での取扱い：%s\n問合せ：%s\nSHA-256：%s\n",
				yes[t.Matching], yes[t.Pseudonymized], yes[t.Statistics], orElse(t.DataFrom, "同意の時"), orElse(t.DataUntil, "事業の終わり"), t.EndsOn, t.Withdrawal,
				t.Outsourcing, t.Abroad, t.Contact, t.Hash)
			return nil
		}),
	}
}

// instantOf reads a time of the command line; nothing is now.
func instantOf(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, japan); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("the time %q is not written 2026-10-01 or \"2026-10-01 09:30\"", text)}
}

func (p *program) consentRecord() *cobra.Command {
	var f consent.Form
	var at, source string
	c := by(&cobra.Command{
		Use: "record PERSON", Short: "同意を記録する / record a consent", Args: cobra.ExactArgs(1),
		Long: `窓口や紙で受けた同意を一件記録します。画面で受けた同意（--route app, web）は、チェックが
あらかじめ入っていなかったこと（--unticked）を示さなければ記録できません。--born-on は年齢の
確認にだけ使い、保存しません。`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) (err error) {
			if f.At, err = instantOf(at); err != nil {
				return err
			}
			f.Person = consent.Person{Source: orElse(source, a.config.Provider), ID: args[0]}
			receipt, err := desk.Record(ctx, f)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "consent %s: %s of %s\n", receipt.ID, strings.Join(receipt.Purposes, " "), strings.Join(receipt.Items, " "))
			return nil
		}),
	}, &f.Actor)
	c.Flags().StringVar(&source, "source", "", "利用者番号の出どころ（既定は自分の元帳）/ whose number it is (default: our own ledger)")
	c.Flags().StringVar(&f.Text, "text", "", "示した版 ID/VERSION/LANGUAGE / the version that was shown")
	c.Flags().StringSliceVar(&f.Purposes, "purpose", nil, "同意した目的（既定は版のすべて）/ purposes (default: all of the text)")
	c.Flags().StringSliceVar(&f.Items, "item", nil, "同意した項目（既定は版のすべて）/ items (default: all of the text)")
	c.Flags().StringVar(&at, "at", "", "同意した時（既定は今）/ when (default: now)")
	c.Flags().StringVar((*string)(&f.Route), "route", "counter", "app, web, paper, counter")
	c.Flags().StringVar(&f.Evidence, "evidence", "", "証拠：画面の版、同意書の番号 / version of the screen, number of the form")
	c.Flags().BoolVar(&f.Unticked, "unticked", false, "チェックはあらかじめ入っていなかった / the box was not ticked beforehand")
	c.Flags().StringVar(&f.BornOn, "born-on", "", "生年月日 YYYY-MM-DD（保存しない）/ birth date, to be looked at and not kept")
	c.Flags().BoolVar(&f.Guardian, "guardian", false, "保護者が同意した / a guardian agreed")
	c.Flags().StringVar(&f.ID, "number", "", "同意の番号（既定は自動）/ number of the consent (default: a new one)")
	return c
}

func (p *program) consentWithdraw() *cobra.Command {
	var w consent.Withdrawal
	var from, at, source string
	c := by(&cobra.Command{
		Use: "withdraw PERSON", Short: "同意の撤回を記録する / record a withdrawal", Args: cobra.ExactArgs(1),
		Long: `すべての、または一部の目的・項目の同意を撤回します。--from がなければ、過去のデータにも及びます。
一部の項目の撤回は、その項目を含む種類のデータ全体に及びます。`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) (err error) {
			if w.At, err = instantOf(at); err != nil {
				return err
			}
			if from != "" {
				if w.From, err = instantOf(from); err != nil {
					return err
				}
			}
			w.Person = consent.Person{Source: orElse(source, a.config.Provider), ID: args[0]}
			receipts, err := desk.Withdraw(ctx, w)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "withdrawn; the person had %d receipts\n", receipts)
			if receipts == 0 {
				fmt.Fprintln(p.stderr, "nobody of this number has agreed before: is the number right?")
			}
			return nil
		}),
	}, &w.Actor)
	c.Flags().StringVar(&source, "source", "", "利用者番号の出どころ（既定は自分の元帳）/ whose number it is (default: our own ledger)")
	c.Flags().StringSliceVar(&w.Purposes, "purpose", nil, "撤回する目的（既定はすべて）/ purposes (default: all)")
	c.Flags().StringSliceVar(&w.Items, "item", nil, "撤回する項目（既定はすべて）/ items (default: all)")
	c.Flags().StringVar(&from, "from", "", "この日より後のデータだけ / only rows from this time on")
	c.Flags().StringVar(&at, "at", "", "撤回した時（既定は今）/ when (default: now)")
	c.Flags().StringVar((*string)(&w.Route), "route", "counter", "app, web, paper, counter")
	c.Flags().StringVar(&w.Reason, "reason", "", "理由 / the reason, if one was given")
	return c
}

func (p *program) consentShow() *cobra.Command {
	var source string
	c := &cobra.Command{
		Use: "show PERSON", Short: "一人の同意と撤回、今の状態を表示する / show a person's consents and what is covered now", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			who := consent.Person{Source: orElse(source, a.config.Provider), ID: args[0]}
			events, err := desk.Of(ctx, who)
			if err != nil {
				return err
			}
			for _, v := range events {
				if c := v.Receipt; c != nil {
					fmt.Fprintf(p.stdout, "%s\tconsent\t%s\t%s\t%s\t%s\t%s\t%s\n", c.At.In(japan).Format(time.DateTime), c.ID, c.Text, strings.Join(c.Purposes, " "), strings.Join(c.Items, " "), c.Route, c.Evidence)
				}
				if w := v.Withdrawal; w != nil {
					fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\n", w.At.In(japan).Format(time.DateTime), map[bool]string{true: "hold", false: "withdrawal"}[w.Hold],
						orElse(strings.Join(w.Purposes, " "), "all"), orElse(strings.Join(w.Items, " "), "all"), w.Route)
				}
			}
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			now, datasets := time.Now(), r.Datasets()
			for _, purpose := range r.Purposes {
				coverage, err := desk.Coverage(ctx, purpose.Code, now)
				if errors.Is(err, consent.ErrUnpublished) || errors.Is(err, consent.ErrEnded) {
					continue
				}
				if err != nil {
					return err
				}
				for _, dataset := range datasets {
					if id, ok := coverage.Basis(dataset, who.Source, who.ID, now); ok {
						fmt.Fprintf(p.stdout, "now\t%s\t%s\tby %s\n", purpose.Code, dataset, id)
					}
				}
			}
			return nil
		}),
	}
	c.Flags().StringVar(&source, "source", "", "利用者番号の出どころ（既定は自分の元帳）/ whose number it is (default: our own ledger)")
	return c
}

func (p *program) consentImport() *cobra.Command {
	var mapFile string
	c := &cobra.Command{
		Use: "import FILE.csv --map MAPPING.yaml", Short: "同意のCSVを取り込む / take in a CSV file of consents", Args: cobra.ExactArgs(1),
		Long: `同意の一覧（CSV）を取り込みます。誤った行は、行・列・問題・直し方を personal/quarantine の
ファイルに書き、ほかの行は取り込みます。同じファイルをもう一度取り込んでも、何も変わりません。`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) (err error) {
			if mapFile == "" {
				return usageError{errors.New("consent import: which columns are what? give --map MAPPING.yaml")}
			}
			document, err := os.ReadFile(mapFile)
			if err != nil {
				return err
			}
			m, err := consent.ParseMapping(document)
			if err != nil {
				return fmt.Errorf("%s: %w", mapFile, err)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }() // it was only read
			list := &faultList{path: filepath.Join(a.config.Dir, "personal", "quarantine", time.Now().UTC().Format("consent-20060102T150405.000000Z.csv"))}
			s, err := desk.Import(ctx, filepath.Base(args[0]), f, m, list.add)
			if err = errors.Join(err, list.close()); err != nil {
				return err
			}
			numbers.Fprintf(p.stdout, "%s: read %d = entered %d + duplicate %d + faulty %d; withdrawals %d\n", filepath.Base(args[0]), s.Read, s.Entered, s.Duplicate, s.Faulty, s.Withdrawn)
			if s.Faulty > 0 {
				fmt.Fprintf(p.stdout, "faulty rows: %s\n", list.path)
			}
			return nil
		}),
	}
	c.Flags().StringVar(&mapFile, "map", "", "列の対応表（YAML）/ mapping document")
	return c
}

// faultList is the file of bad rows, made when the first one comes: place,
// problem and remedy, and no value.
type faultList struct {
	path string
	file *os.File
	csv  *csv.Writer
}

func (l *faultList) add(f consent.Fault) (err error) {
	if l.file == nil {
		if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
			return err
		}
		if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		l.csv = csv.NewWriter(l.file)
		if err := l.csv.Write([]string{"file", "line", "field", "problem", "remedy"}); err != nil {
			return err
		}
	}
	return l.csv.Write([]string{f.File, strconv.FormatInt(f.Line, 10), f.Field, f.Problem, f.Remedy})
}

func (l *faultList) close() error {
	if l.file == nil {
		return nil
	}
	l.csv.Flush()
	return errors.Join(l.csv.Error(), l.file.Sync(), l.file.Close())
}

func (p *program) consentCarry() *cobra.Command {
	var who, text, source, at string
	c := by(&cobra.Command{
		Use: "carry --text ID/VERSION/LANGUAGE", Short: "登録簿にある同意の番号を記録に移す / make receipts of the consent numbers in the registry", Args: cobra.NoArgs,
		Long: `ウォレットの登録簿は、住民の同意を番号で持っています。示した版を指定して、その番号のまま同意の
記録にします。--source を付けると、取り込んだ利用者属性の同意番号を移します（時を --at で指定）。
何度行っても同じです。撤回された同意は戻りません。`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			people := a.registered(ctx)
			if source != "" {
				if at == "" {
					return usageError{errors.New("consent carry: persons of a source have no time of consent: give --at")}
				}
				when, err := instantOf(at)
				if err != nil {
					return err
				}
				people = a.imported(ctx, source, when)
			}
			s, err := desk.Carry(ctx, text, who, people, func(place int64, err error) {
				fmt.Fprintf(p.stderr, "resident no. %d of the list: %v\n", place, err)
			})
			if err != nil {
				return err
			}
			numbers.Fprintf(p.stdout, "carried over: %d with a number = entered %d + duplicate %d + faulty %d\n", s.Read, s.Entered, s.Duplicate, s.Faulty)
			return nil
		}),
	}, &who)
	c.Flags().StringVar(&text, "text", "", "示した版 / the version that was shown")
	c.Flags().StringVar(&source, "source", "", "取り込んだ利用者属性の出どころ / persons of this source instead of the registry")
	c.Flags().StringVar(&at, "at", "", "同意した時（--source のとき）/ when they agreed, with --source")
	return c
}

// registered are the residents of the registry, with their consents' numbers.
func (a *app) registered(ctx context.Context) func(func(consent.Known, error) bool) {
	return func(yield func(consent.Known, error) bool) {
		store, err := a.ledger(ctx)
		if err != nil {
			yield(consent.Known{}, err)
			return
		}
		const page = 1000
		for after := ""; ; {
			residents, err := store.Residents(ctx, after, page)
			if err != nil {
				yield(consent.Known{}, err)
				return
			}
			for _, r := range residents {
				after = r.ID
				if !yield(consent.Known{Person: consent.Person{Source: a.config.Provider, ID: r.ID}, Number: r.ConsentID, At: r.RegisteredAt, BornOn: r.BornOn}, nil) {
					return
				}
			}
			if len(residents) < page {
				return
			}
		}
	}
}

// imported are the persons that the importer has of a source.
func (a *app) imported(ctx context.Context, source string, at time.Time) func(func(consent.Known, error) bool) {
	return func(yield func(consent.Known, error) bool) {
		store, err := a.ingestStore(ctx)
		if err != nil {
			yield(consent.Known{}, err)
			return
		}
		const page = 1000
		for after := ""; ; {
			var persons []ingest.Person
			if persons, err = store.Persons(ctx, source, after, page); err != nil {
				yield(consent.Known{}, err)
				return
			}
			for _, v := range persons {
				after = v.ID
				if !yield(consent.Known{Person: consent.Person{Source: v.Source, ID: v.ID}, Number: v.ConsentID, At: at, BornOn: v.BornOn}, nil) {
					return
				}
			}
			if len(persons) < page {
				return
			}
		}
	}
}

func (p *program) consentVerify() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "記録が書き換えられていないことを確かめる / check that nobody changed the log", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			n, err := consent.Verify(ctx, desk.Store)
			if err != nil {
				return err
			}
			numbers.Fprintf(p.stdout, "the log is whole: %d entries\n", n)
			return nil
		}),
	}
}
