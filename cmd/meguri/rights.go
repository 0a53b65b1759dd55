package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest"
	"meguri/ingest/consent"
	"meguri/ingest/consent/rights"
	"meguri/ledger"
	"meguri/ledger/registry"
)

func (a *app) rights(desk *consent.Desk) *rights.Desk {
	days := a.config.RightsDays
	if days <= 0 {
		days = rights.DefaultDays
	}
	return &rights.Desk{Consents: desk, Days: days}
}

func (p *program) rightsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "rights", Short: "開示・訂正・利用停止・消去の請求 / requests of persons about their data",
		Long: `本人からの請求を受け付け、期限までに答えます（法33〜36条）。期限は設定 rights_days（既定30日）です。
受付 open → 本人確認 identify → 開示 disclose・訂正 correct・消去 erase → 回答 answer の順です。
利用停止は、回答と同時に効きます。`,
	}
	c.AddCommand(p.rightsOpen(), p.rightsList(), p.rightsShow(), p.rightsIdentify(), p.rightsAnswer(), p.rightsDisclose(), p.rightsCorrect(), p.rightsErase())
	return c
}

func (p *program) rightsOpen() *cobra.Command {
	var who, source, note string
	c := by(&cobra.Command{
		Use: "open disclosure|correction|stop|erasure PERSON", Short: "請求を受け付ける / take a request", Args: cobra.ExactArgs(2),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			r, err := a.rights(desk).Take(ctx, rights.Kind(args[0]), consent.Person{Source: orElse(source, a.config.Provider), ID: args[1]}, note, who)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s\tdue %s\n", r.ID, r.Due)
			return nil
		}),
	}, &who)
	c.Flags().StringVar(&source, "source", "", "利用者番号の出どころ（既定は自分の元帳）/ whose number it is (default: our own ledger)")
	c.Flags().StringVar(&note, "note", "", "内容 / what exactly")
	return c
}

func stateOfRequest(r rights.Request, now time.Time) string {
	switch {
	case r.Overdue(now):
		return "OVERDUE"
	case r.Open():
		return "open"
	}
	return string(r.Outcome)
}

func (p *program) rightsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "請求の一覧。期限を過ぎたものが先 / list requests, what is overdue first", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			all, err := a.rights(desk).Requests(ctx)
			if err != nil {
				return err
			}
			for _, r := range all {
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\tdue %s\t%s/%s\n", r.ID, r.Kind, stateOfRequest(r, time.Now()), r.Due, r.Person.Source, r.Person.ID)
			}
			return nil
		}),
	}
}

func (p *program) rightsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show REQUEST", Short: "請求の経過を表示する / show what became of a request", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			r, err := a.rights(desk).Request(ctx, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "request\t%s\nkind\t%s\nstate\t%s\nperson\t%s/%s\nopened\t%s by %s\ndue\t%s\n", r.ID, r.Kind, stateOfRequest(r, time.Now()),
				r.Person.Source, r.Person.ID, r.OpenedAt.In(japan).Format(time.DateTime), r.OpenedBy, r.Due)
			for _, line := range [][2]string{{"note", r.Note}, {"identity", r.Identity}, {"disclosed", r.Disclosed}, {"corrected", r.Corrected}, {"erased", r.Erased}, {"reason", r.Reason}, {"answered by", r.By}} {
				if line[1] != "" {
					fmt.Fprintf(p.stdout, "%s\t%s\n", line[0], line[1])
				}
			}
			return nil
		}),
	}
}

func (p *program) rightsIdentify() *cobra.Command {
	var who, how string
	c := by(&cobra.Command{
		Use: "identify REQUEST", Short: "本人確認をした方法を記録する / say how the person was identified", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			return a.rights(desk).Identify(ctx, args[0], how, who)
		}),
	}, &who)
	c.Flags().StringVar(&how, "how", "", "方法（書類の種類。番号は書かない）/ how: the kind of document, and no number of it")
	return c
}

func (p *program) rightsAnswer() *cobra.Command {
	var who, outcome, reason string
	c := by(&cobra.Command{
		Use: "answer REQUEST", Short: "請求に答える。全部に応じないときは理由が要る / answer a request", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			return a.rights(desk).Answer(ctx, args[0], rights.Outcome(outcome), reason, who)
		}),
	}, &who)
	c.Flags().StringVar(&outcome, "outcome", "", "done（応じた）, part（一部）, refused（応じない）")
	c.Flags().StringVar(&reason, "reason", "", "理由（法36条）/ reason (Act 36)")
	return c
}

func (p *program) rightsDisclose() *cobra.Command {
	var who, source, out, id string
	var also []string
	c := by(&cobra.Command{
		Use: "disclose PERSON --out DIR", Short: "一人のデータを集め、JSONとCSVで書き出す / write all data of a person as JSON and CSV", Args: cobra.ExactArgs(1),
		Long: `登録簿・元帳・取り込んだ属性と決済・同意・提供記録から一人のデータを集め、新しいフォルダに
書き出します。フォルダは持ち主だけが読めます。レイク（仮名加工情報）は開示の対象外です（法41条9項）。
ほかの決済事業者での番号は --also 出どころ=番号 で加えます。`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			if out == "" {
				return usageError{errors.New("rights disclose: where to? give --out DIR")}
			}
			who1 := consent.Person{Source: orElse(source, a.config.Provider), ID: args[0]}
			people := []consent.Person{who1}
			for _, text := range also {
				from, number, ok := strings.Cut(text, "=")
				if !ok {
					return usageError{errors.New("rights disclose: --also is written SOURCE=ID")}
				}
				people = append(people, consent.Person{Source: from, ID: number})
			}
			if id != "" {
				r, err := a.rights(desk).Request(ctx, id)
				if err != nil {
					return err
				}
				if r.Person != who1 {
					return fmt.Errorf("request %s is another person's", id)
				}
				if r.Identity == "" {
					return fmt.Errorf("request %s: %w", id, rights.ErrIdentity)
				}
			}
			sources, err := a.sources(ctx, desk)
			if err != nil {
				return err
			}
			d, hash, err := rights.Disclose(ctx, out, people, sources, time.Now())
			if err != nil {
				return err
			}
			if err := a.rights(desk).Handed(ctx, id, who1, hash, who); err != nil {
				return err
			}
			for _, f := range d.Files {
				numbers.Fprintf(p.stdout, "%s\t%d rows\n", f.Name, f.Rows)
			}
			fmt.Fprintf(p.stdout, "hash\t%s\n", hash)
			return nil
		}),
	}, &who)
	c.Flags().StringVar(&source, "source", "", "利用者番号の出どころ（既定は自分の元帳）/ whose number it is (default: our own ledger)")
	c.Flags().StringArrayVar(&also, "also", nil, "同じ人のほかの番号 出どころ=番号 / another number of the same person, SOURCE=ID")
	c.Flags().StringVarP(&out, "out", "o", "", "新しいフォルダ / a new folder")
	c.Flags().StringVar(&id, "request", "", "請求の番号 / ID of the request")
	return c
}

// sources are the places where data of a person lie.
func (a *app) sources(ctx context.Context, desk *consent.Desk) ([]rights.Source, error) {
	store, err := a.ledger(ctx)
	if err != nil {
		return nil, err
	}
	importer, err := a.importer(ctx)
	if err != nil {
		return nil, err
	}
	ours := func(name string, rows func(id string) ([]rights.Row, error)) rights.Source {
		return rights.SourceFunc(func(_ context.Context, p consent.Person) (string, iter.Seq2[rights.Row, error]) {
			return name, func(yield func(rights.Row, error) bool) {
				if p.Source != a.config.Provider {
					return
				}
				all, err := rows(p.ID)
				for _, row := range all {
					if !yield(row, nil) {
						return
					}
				}
				if err != nil {
					yield(nil, err)
				}
			}
		})
	}
	sources := []rights.Source{
		ours("registry", func(id string) ([]rights.Row, error) {
			r, err := store.Resident(ctx, id)
			if errors.Is(err, registry.ErrNotFound) {
				return nil, nil
			}
			return []rights.Row{{{Name: "id", Value: r.ID}, {Name: "name", Value: r.Name}, {Name: "phone", Value: r.Phone}, {Name: "born_on", Value: r.BornOn},
				{Name: "sex", Value: string(r.Sex)}, {Name: "area", Value: r.Area}, {Name: "consent_id", Value: r.ConsentID},
				{Name: "registered_at", Value: r.RegisteredAt.In(japan).Format(time.RFC3339)}}}, err
		}),
		ours("ledger", func(id string) (rows []rights.Row, err error) {
			accounts, err := store.BalancesOf(ctx, id)
			if err != nil {
				return nil, err
			}
			const page = 500
			for _, account := range accounts {
				for before := ledger.Seq(0); ; {
					lines, err := store.Statement(ctx, account.ID, before, page)
					if err != nil {
						return rows, err
					}
					for _, l := range lines {
						before = l.Seq
						amount, after := l.Amount, l.CreditAfter
						if l.Debit == account.ID {
							amount, after = -l.Amount, l.DebitAfter
						}
						rows = append(rows, rights.Row{{Name: "account", Value: fmt.Sprint(account.ID)}, {Name: "programme", Value: string(l.Programme)},
							{Name: "transaction", Value: l.Transaction}, {Name: "kind", Value: string(l.Kind)}, {Name: "shop", Value: l.Shop},
							{Name: "at", Value: l.At.In(japan).Format(time.RFC3339)}, {Name: "amount_yen", Value: fmt.Sprint(amount)}, {Name: "balance_yen", Value: fmt.Sprint(after)}})
					}
					if len(lines) < page {
						break
					}
				}
			}
			return rows, nil
		}),
		rights.Attributes(importer),
		rights.Corrections(importer),
		rights.Records(importer, ingest.PaymentDataset),
		rights.Consents(desk),
		rights.Provisions(desk),
	}
	for _, d := range ingest.Datasets() {
		sources = append(sources, rights.Records(importer, d.Name))
	}
	return sources, nil
}

func (p *program) rightsErase() *cobra.Command {
	var who string
	return by(&cobra.Command{
		Use: "erase REQUEST...", Short: "消去の請求を実行する / carry out requests for erasure", Args: cobra.MinimumNArgs(1),
		Long: `新しい取込を止めてから、レイク、セグメント、写し、登録簿の順に消し、何も残っていないことを
確かめて、署名付きの削除証明を残します。途中で止まっても、もう一度行えば続きから進みます。
消せない場所が一つでもあれば、何も消さずに終わります。請求は一度に何件でも挙げられ、まとめて
一つの削除証明になります。消す時間は、件数ではなくデータの量で決まります。`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			order := rights.Order{Reason: "Act 35", By: who}
			for _, id := range args {
				r, err := a.rights(desk).Request(ctx, id)
				switch {
				case err != nil:
					return err
				case r.Kind != rights.Erasure || !r.Open():
					return fmt.Errorf("request %s is no open request for erasure", r.ID)
				case r.Identity == "":
					return fmt.Errorf("request %s: %w", r.ID, rights.ErrIdentity)
				}
				order.Persons = append(order.Persons, r.Person)
			}
			order.Request = strings.Join(args, " ")
			shredder, err := p.shredder(ctx, a, desk)
			if err != nil {
				return err
			}
			roomy()
			signed, err := shredder.Run(ctx, order)
			if err != nil {
				return err
			}
			return p.printReceipt(signed)
		}),
	}, &who)
}

func (p *program) provisionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "provision", Short: "第三者提供・受領の記録（法29条・30条） / records of provision to and from third parties",
		Long: `個人データを第三者に渡した・受け取った記録です。3年間は消せません（規則第21条）。委託と共同利用は
記録の対象外で、その理由だけを残します。`,
	}
	var v consent.Provision
	var who, at, source, persons, out string
	add := by(&cobra.Command{
		Use: "add provided|received", Short: "記録を加える / add a record", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) (err error) {
			v.Direction, v.By = consent.Direction(args[0]), who
			if v.At, err = instantOf(at); err != nil {
				return err
			}
			var people []consent.Person
			if persons != "" {
				f, err := os.Open(persons)
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }() // it was only read
				lines := bufio.NewScanner(f)
				for lines.Scan() {
					if id := strings.TrimSpace(lines.Text()); id != "" {
						people = append(people, consent.Person{Source: orElse(source, a.config.Provider), ID: id})
					}
				}
				if err := lines.Err(); err != nil {
					return fmt.Errorf("%s: %w", persons, err)
				}
			}
			made, err := desk.RecordProvision(ctx, v, people)
			if err != nil {
				return err
			}
			numbers.Fprintf(p.stdout, "%s: %d persons\n", made.ID, len(people))
			if made.Exempt != "" {
				fmt.Fprintln(p.stdout, made.Exempt)
			}
			return nil
		}),
	}, &who)
	f := add.Flags()
	f.StringVar(&at, "at", "", "時（既定は今）/ when (default: now)")
	f.StringVar(&v.Party.Name, "party", "", "相手の名 / the other party")
	f.StringVar(&v.Party.Address, "address", "", "その住所 / their address")
	f.StringVar(&v.Party.Representative, "representative", "", "その代表者 / their representative")
	f.StringSliceVar(&v.Items, "item", nil, "項目 / items")
	f.StringVar(&v.Basis, "basis", "", "consent（同意）, 27-2（オプトアウト）, entrustment（委託）, joint_use（共同利用）")
	f.StringVar(&v.Origin, "origin", "", "取得の経緯（受領のとき）/ how the provider came by the data")
	f.StringVar(&persons, "persons", "", "利用者番号を一行に一つ書いたファイル / file with one person a line")
	f.StringVar(&source, "source", "", "利用者番号の出どころ（既定は自分の元帳）/ whose numbers they are (default: our own ledger)")
	list := &cobra.Command{
		Use: "list [PERSON]", Short: "記録の一覧（一人または全部） / list records, of a person or all", Args: cobra.MaximumNArgs(1),
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			of := consent.Person{}
			if len(args) == 1 {
				of = consent.Person{Source: orElse(source, a.config.Provider), ID: args[0]}
			}
			return desk.Provisions(ctx, of, func(h consent.Handed) error {
				_, err := fmt.Fprintln(p.stdout, strings.Join(provisionRow(h), "\t"))
				return err
			})
		}),
	}
	list.Flags().StringVar(&source, "source", "", "利用者番号の出どころ / whose number it is")
	export := &cobra.Command{
		Use: "export --out FILE.csv", Short: "記録をCSVに書き出す / write the records as CSV", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) (err error) {
			if out == "" {
				return usageError{errors.New("provision export: where to? give --out FILE.csv")}
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			w := csv.NewWriter(f)
			err = w.Write([]string{"number", "id", "direction", "at", "party", "items", "basis", "person", "exempt"})
			if err == nil {
				err = desk.Provisions(ctx, consent.Person{}, func(h consent.Handed) error { return w.Write(provisionRow(h)) })
			}
			w.Flush()
			return errors.Join(err, w.Error(), f.Sync(), f.Close())
		}),
	}
	export.Flags().StringVarP(&out, "out", "o", "", "書き出すファイル / file to write")
	c.AddCommand(add, list, export)
	return c
}

func provisionRow(h consent.Handed) []string {
	who := ""
	if h.Person.ID != "" {
		who = h.Person.Source + "/" + h.Person.ID
	}
	return []string{fmt.Sprint(h.Number), h.ID, string(h.Direction), h.At.In(japan).Format(time.DateTime), h.Party.Name, strings.Join(h.Items, " "), h.Basis, who, h.Exempt}
}
