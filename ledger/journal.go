package ledger

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
)

// WriteJournal writes everything that is posted as a journal in hledger's
// format, with both balances asserted after each entry, so that a program that
// is not ours can check the books. A transaction is dated by ledger time, which
// assertions follow; the business day stands in a tag. Each programme is a
// commodity, since value never moves between them.
func WriteJournal(ctx context.Context, w io.Writer, s Audited, progress func(entries int64)) error {
	out := bufio.NewWriterSize(w, 1<<20)
	fmt.Fprintln(out, "; ledger of Meguri: every posting asserts the balance after it")
	var after Seq
	for {
		page, err := s.Changes(ctx, after, auditPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return out.Flush()
		}
		for _, p := range page {
			fmt.Fprintf(out, "\n%s * (%d) %s  ; id:%s, business:%s", Day(p.LedgerAt), p.First(), p.Kind, p.ID, p.BusinessOn)
			if p.Parent != "" {
				fmt.Fprintf(out, ", cancels:%s", p.Parent)
			}
			fmt.Fprintln(out)
			for _, e := range p.Entries {
				c := `"` + strings.ReplaceAll(string(e.Programme), `"`, "'") + `"`
				fmt.Fprintf(out, "    %s  %d %s = %d %s\n", e.Debit, -e.Amount, c, e.DebitAfter, c)
				fmt.Fprintf(out, "    %s  %d %s = %d %s\n", e.Credit, e.Amount, c, e.CreditAfter, c)
			}
			after = p.Last()
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		progress(int64(after))
	}
}
