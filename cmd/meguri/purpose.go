package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"meguri/ingest/consent"
)

func (p *program) purposeCommand() *cobra.Command {
	c := &cobra.Command{Use: "purpose", Short: "利用目的の登録と公表 / purposes of use and their publication"}
	var who, ja, en, on, where, city, out string
	var html bool
	add := by(&cobra.Command{
		Use: "add CODE", Short: "利用目的を登録する（公表するまで使えない）/ enter a purpose; it cannot be used before it is published", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			return desk.AddPurpose(ctx, consent.Purpose{Code: args[0], Ja: ja, En: en}, who)
		}),
	}, &who)
	add.Flags().StringVar(&ja, "ja", "", "日本語の文 / in Japanese")
	add.Flags().StringVar(&en, "en", "", "英語の文 / in English")
	publish := by(&cobra.Command{
		Use: "publish CODE", Short: "利用目的を公表した日と場所を記録する / say when and where a purpose was published", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			return desk.Publish(ctx, args[0], orElse(on, consent.Day(time.Now())), where, who)
		}),
	}, &who)
	publish.Flags().StringVar(&on, "on", "", "公表の日 YYYY-MM-DD（既定は今日）/ the day (default: today)")
	publish.Flags().StringVar(&where, "where", "", "公表の場所（URL、広報）/ where it stands")
	end := by(&cobra.Command{
		Use: "end CODE", Short: "利用目的を今日で終える。分析者の許可も取り消す / end a purpose today, and the grants of analysts with it", Args: cobra.ExactArgs(1),
		Long: `利用目的を今日で終えます。元には戻せません。その目的では、パイプライン、統計、提供先の契約、分析者の許可のどれも
使えなくなります。その目的の分析者の許可は取り消します（開いている接続にも、もう答えません）。

Ends a purpose for good: nothing is pseudonymized, read or released for it from today
on, and the grants of analysts for it are taken back. It may be run again.`,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, args []string) error {
			ended := desk.EndPurpose(ctx, args[0], who)
			if ended != nil && !errors.Is(ended, consent.ErrEnded) {
				return ended
			}
			return errors.Join(ended, p.revokeFor(ctx, a, args[0])) // an end that broke off goes on
		}),
	}, &who)
	log := &cobra.Command{
		Use: "log", Short: "行が何のために読まれ、写されたか / what rows were read and copied for", Args: cobra.NoArgs,
		Long: `レイクの行を読み、写した記録です。統計の記録は meguri gate register、分析者は meguri analyst log、
提供先は meguri recipient log にあります。

Columns: time in Japan, purpose, what was done, who. Statistics are in "meguri gate
register", analysts in "meguri analyst log", recipients in "meguri recipient log".`,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			return desk.Uses(ctx, func(u consent.Use) error {
				_, err := fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\n", u.At.In(japan).Format(time.RFC3339), u.Purpose, u.What, u.By)
				return err
			})
		}),
	}
	list := &cobra.Command{
		Use: "list", Short: "利用目的の一覧 / list purposes", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			for _, v := range r.Purposes {
				days := orElse(v.PublishedOn, "not published")
				if v.EndedOn != "" {
					days += ", ended " + v.EndedOn
				}
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\n", v.Code, days, v.Ja, v.En, v.Where)
			}
			return nil
		}),
	}
	page := &cobra.Command{
		Use: "page", Short: "公表用のページを作る / write the page of published purposes and joint uses", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, a *app, desk *consent.Desk, _ []string) error {
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			write := func(w io.Writer) error {
				return r.Page(w, orElse(city, a.config.City), consent.Day(time.Now()), html)
			}
			if out == "" {
				return write(p.stdout)
			}
			return writeFile(out, write)
		}),
	}
	page.Flags().BoolVar(&html, "html", false, "HTML（既定はMarkdown）/ HTML instead of Markdown")
	page.Flags().StringVar(&city, "operator", "", "事業者の名（既定は設定の city）/ name of the operator")
	page.Flags().StringVarP(&out, "out", "o", "", "書き出すファイル / file to write")
	c.AddCommand(add, publish, end, list, log, page)
	return c
}

// revokeFor takes back the grants of analysts for a purpose: their server does
// not see the registry.
func (p *program) revokeFor(ctx context.Context, a *app, purpose string) error {
	store, err := a.analysts(ctx)
	if err != nil {
		return err
	}
	grants, err := store.Grants(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, g := range grants {
		if state := g.State(now); g.Purpose != purpose || state != "active" && state != "future" {
			continue
		}
		if err := store.Revoke(ctx, g.ID, now); err != nil {
			return fmt.Errorf("revoke %s: %w", g.ID, err)
		}
		fmt.Fprintf(p.stdout, "revoked grant %s of %s\n", g.ID, g.Name)
	}
	return nil
}

func (p *program) basisCommand() *cobra.Command {
	c := &cobra.Command{Use: "basis", Short: "同意のほかの根拠（委託・共同利用・法令）/ legal bases other than consent"}
	var b consent.Basis
	var who, document, on string
	add := by(&cobra.Command{
		Use: "add ID", Short: "根拠を登録する / enter a basis", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) (err error) {
			if b.ID, b.Document = args[0], filepath.Base(document); document == "" {
				return usageError{errors.New("basis add: which document? give --document FILE: its SHA-256 is kept")}
			}
			if b.SHA256, err = fileHash(document); err != nil {
				return err
			}
			return desk.AddBasis(ctx, b, who)
		}),
	}, &who)
	f := add.Flags()
	f.StringVar((*string)(&b.Kind), "kind", "", "entrustment（委託）, joint_use（共同利用）, law（法令）")
	f.StringVar(&b.Dataset, "dataset", "", "データの種類 / data set")
	f.StringVar(&b.Source, "source", "", "取得元（既定はすべて）/ source (default: every one)")
	f.StringSliceVar(&b.Purposes, "purpose", nil, "利用目的 / purposes")
	f.StringVar(&b.From, "from", "", "初日 YYYY-MM-DD / first day")
	f.StringVar(&b.Until, "until", "", "末日 YYYY-MM-DD / last day")
	f.StringVar(&b.Notice, "notice", "", "共同利用の公表の番号 / notice of the joint use")
	f.StringVar(&document, "document", "", "契約書などのファイル / file of the contract or decision")
	end := by(&cobra.Command{
		Use: "end ID", Short: "根拠を早く終える / end a basis early", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			return desk.EndBasis(ctx, args[0], orElse(on, consent.Day(time.Now())), who)
		}),
	}, &who)
	end.Flags().StringVar(&on, "on", "", "末日 YYYY-MM-DD（既定は今日）/ last day (default: today)")
	list := &cobra.Command{
		Use: "list", Short: "根拠の一覧 / list bases", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			for _, v := range r.Bases {
				fmt.Fprintf(p.stdout, "%s\t%s\t%s\t%s\t%s\t%s to %s\t%s\t%s\n", v.ID, v.Kind, v.Dataset, orElse(v.Source, "every source"), strings.Join(v.Purposes, " "),
					v.From, v.Until, v.Document, v.SHA256[:16])
			}
			return nil
		}),
	}
	c.AddCommand(add, end, list)
	return c
}

func (p *program) noticeCommand() *cobra.Command {
	c := &cobra.Command{Use: "notice", Short: "共同利用の公表 / notices of joint use"}
	var n consent.Notice
	var who string
	add := by(&cobra.Command{
		Use: "add ID", Short: "公表した内容を登録する。項目と利用者の範囲は後から変えられない / enter a notice; its items and users never change", Args: cobra.ExactArgs(1),
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, args []string) error {
			n.ID = args[0]
			version, err := desk.AddNotice(ctx, n, who)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "notice %s, version %d\n", n.ID, version)
			return nil
		}),
	}, &who)
	f := add.Flags()
	f.StringSliceVar(&n.Items, "item", nil, "項目 / items")
	f.StringArrayVar(&n.Users, "user", nil, "共同して利用する者（一つずつ）/ users, once for each")
	f.StringSliceVar(&n.Purposes, "purpose", nil, "利用目的 / purposes")
	f.StringVar(&n.Responsible.Name, "responsible", "", "責任を有する者の名 / who is responsible")
	f.StringVar(&n.Responsible.Address, "address", "", "その住所 / their address")
	f.StringVar(&n.Responsible.Representative, "representative", "", "その代表者 / their representative")
	f.StringVar(&n.PublishedOn, "published-on", "", "公表の日 YYYY-MM-DD / day of publication")
	list := &cobra.Command{
		Use: "list", Short: "公表の一覧 / list notices", Args: cobra.NoArgs,
		RunE: p.withConsents(func(ctx context.Context, _ *app, desk *consent.Desk, _ []string) error {
			r, err := desk.Register(ctx)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			for _, v := range r.Notices {
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", v.ID, v.Version, v.PublishedOn, strings.Join(v.Items, " "), strings.Join(v.Users, "、"), v.Responsible.Name)
			}
			return w.Flush()
		}),
	}
	c.AddCommand(add, list)
	return c
}

// fileHash is the SHA-256 of a file, in hexadecimal.
func fileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
