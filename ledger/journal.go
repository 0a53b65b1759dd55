package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// WriteJournal writes everything that is posted as a journal in hledger's
// format, with both balances asserted after each entry, so that a program that
// is not ours can check the books. A transaction is dated by ledger time, which
// assertions follow; the business day stands in a tag. Each programme is a
// commodity, since value never moves between them. What was only held or let go
// moved nothing and stands as a comment.
func WriteJournal(ctx context.Context, w io.Writer, s Audited, progress func(entries int64)) error {
	out := bufio.NewWriterSize(w, 1<<20)
	fmt.Fprintln(out, "; ledger of Meguri: every posting asserts the balance after it")
	err := eachStretch(ctx, s, 0, func(page []Posted) error {
		for i := range page {
			writeTransaction(out, &page[i])
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		if n := len(page); n > 0 {
			progress(int64(page[n-1].Last()))
		}
		return nil
	})
	return errors.Join(err, out.Flush())
}

func writeTransaction(out io.Writer, p *Posted) {
	mark := ""
	if p.Total() == 0 {
		mark = "; "
	}
	fmt.Fprintf(out, "\n%s%s * (%d) %s  ; id:%s, business:%s", mark, Day(p.LedgerAt), p.First(), p.Kind, p.ID, p.BusinessOn)
	if p.Parent != "" {
		fmt.Fprintf(out, ", of:%s", p.Parent)
	}
	fmt.Fprintln(out)
	for i := range p.Entries {
		e := &p.Entries[i]
		c := `"` + strings.ReplaceAll(string(e.Programme), `"`, "'") + `"`
		if e.Amount == 0 {
			fmt.Fprintf(out, "    ; held %d %s from %s for %s\n", e.Held, c, e.Debit, e.Credit)
			continue
		}
		fmt.Fprintf(out, "    %s  %d %s = %d %s\n", e.Debit, -e.Amount, c, e.DebitAfter, c)
		fmt.Fprintf(out, "    %s  %d %s = %d %s\n", e.Credit, e.Amount, c, e.CreditAfter, c)
	}
}
