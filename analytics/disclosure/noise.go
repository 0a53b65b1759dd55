package disclosure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure/budget"
)

// Errors of noisy counts. Each is a refusal: nothing was told, and nothing spent.
var (
	ErrNoise  = errors.New("this cannot be counted with noise")
	ErrBudget = errors.New("the privacy budget of the period is used up")
)

// NoiseTerms are what a contract says of noisy counts: how much may be learned
// of any one person in a period, and how much of one person an answer takes in.
type NoiseTerms struct {
	Kind   string `json:"kind"`              // epsilon or rho
	Budget string `json:"budget"`            // for a period, a number or a fraction
	Period string `json:"period"`            // month, quarter, year, fiscal-year, or contract: once and for all
	Cells  int64  `json:"max_cells"`         // a person counts in at most so many cells of an answer
	Yen    int64  `json:"max_yen,omitempty"` // with at most so much in each; 0 is no amounts
}

var fraction = regexp.MustCompile(`^[0-9]{1,6}(?:\.[0-9]{1,6}|/[0-9]{1,6})?$`)

func parseFraction(text string) (*big.Rat, bool) {
	if !fraction.MatchString(text) {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(text)
	return r, ok && r.Sign() > 0
}

// Check says what is wrong with the terms.
func (t NoiseTerms) Check() error {
	switch {
	case t.Kind != string(budget.Pure) && t.Kind != string(budget.ZCDP):
		return fmt.Errorf("noise: %q is no kind of budget: %s or %s", t.Kind, budget.Pure, budget.ZCDP)
	case t.Cells < 1 || t.Cells > maxNoisyCells:
		return fmt.Errorf("noise: a person counts in 1 to %d cells, not %d", maxNoisyCells, t.Cells)
	case t.Yen < 0 || t.Yen > 100_000_000:
		return errors.New("noise: the most yen of a person in a cell is 0 to 100,000,000")
	}
	if _, ok := parseFraction(t.Budget); !ok {
		return fmt.Errorf("noise: %q is no budget: a number above 0 such as 1, 0.5 or 1/3", t.Budget)
	}
	return nil
}

// NoisyQuestion asks how many persons there were, or what they spent, in each
// cell of a cut.
type NoisyQuestion struct {
	Measure  string // persons or yen
	From, To string
	By       []string
	Cost     string // of the answer, from the budget: a number or a fraction
}

// Metric is the metric whose figures a question is about.
func (q NoisyQuestion) Metric() string {
	if q.Measure == string(budget.Yen) {
		return "M01a"
	}
	return wholePersons
}

// NoisyAnswer is what a recipient gets.
type NoisyAnswer struct {
	By           []string // in the order of the alphabet
	Cells        []NoisyCell
	Within       int64 // half-width of the 95 % interval
	Kind         string
	Distribution string // discrete-laplace or discrete-gaussian
	Scale        string // a fraction: Laplace's scale, Gauss's variance
	Cost         string
	Left         string // of the budget
	ID           string // the same question has the same
	At           time.Time
	Repeated     bool // it was given before, and cost nothing
}

// NoisyCell is a cell with its noisy figure, which may be below 0.
type NoisyCell struct {
	Keys  []string
	Value int64
}

// Noise answers recipients who ask again and again with differential privacy,
// and keeps their accounts. See package budget for what it promises.
type Noise struct {
	Engine  analytics.Bounder
	Store   budget.Store
	Random  io.Reader // crypto/rand.Reader, but in tests
	Now     func() time.Time
	Purpose Purpose
}

// NoiseOver gives noisy counts over the data of a gate, whose engine must be able
// to bound what one person does; otherwise there are none.
func NoiseOver(g *Gate, accounts budget.Store, random io.Reader) *Noise {
	engine, ok := g.Engine.(analytics.Bounder)
	if !ok {
		return nil
	}
	return &Noise{Engine: engine, Store: accounts, Random: random, Now: g.Now, Purpose: g.Purpose}
}

// Answer answers a question of a reader, whose period began at a time. The same
// question about the same window has the same answer for ever, whatever became
// of the data, of the period or of the name of a cut.
func (n *Noise) Answer(ctx context.Context, reader string, terms NoiseTerms, since time.Time, q NoisyQuestion) (NoisyAnswer, error) {
	if err := n.Purpose.check(ctx); err != nil {
		return NoisyAnswer{}, err
	}
	cost, ok := parseFraction(q.Cost)
	switch {
	case !ok:
		return NoisyAnswer{}, fmt.Errorf("%w: the cost is no number above 0", ErrNoise)
	case q.Measure != string(budget.Persons) && q.Measure != string(budget.Yen):
		return NoisyAnswer{}, fmt.Errorf("%w: the measure is persons or yen", ErrNoise)
	case q.Measure == string(budget.Yen) && terms.Yen == 0:
		return NoisyAnswer{}, fmt.Errorf("%w: the contract has no amounts", ErrNoise)
	}
	rules, err := RulesFor(Recipient)
	if err != nil {
		return NoisyAnswer{}, err
	}
	table, metric, _, err := analytics.Query{Metric: q.Metric(), From: q.From, To: q.To, By: slices.Sorted(slices.Values(q.By))}.Resolve()
	if err != nil {
		return NoisyAnswer{}, err
	}
	if err := rules.offers(table, metric, n.Now()); err != nil {
		return NoisyAnswer{}, err
	}
	cells, err := noisyCells(table)
	if err != nil {
		return NoisyAnswer{}, err
	}
	desk := budget.Desk{Accounts: n.accounts(terms, since), Random: n.Random}
	bounds := budget.Bounds{Cells: min(terms.Cells, int64(len(cells))), Yen: 1}
	if q.Measure == string(budget.Yen) {
		bounds.Yen = terms.Yen
	}
	desk.Source = func(ctx context.Context, asked budget.Query) ([]budget.Contribution, error) {
		parts, err := n.Engine.Bounded(ctx, table, analytics.Bound{Cells: bounds.Cells, Yen: bounds.Yen, Draw: asked.Snapshot})
		if err != nil {
			return nil, err
		}
		list := make([]budget.Contribution, len(parts))
		for i, p := range parts {
			list[i] = budget.Contribution{Person: p.Party, Cell: budget.CellName(p.Keys...), Yen: int64(p.Yen)}
		}
		return list, nil
	}
	answer, repeated, err := desk.Answer(ctx, reader, budget.Query{
		Snapshot: q.From + "/" + q.To, Measure: budget.Measure(q.Measure), By: table.By, Cells: cells,
	}, budget.Mechanism{Kind: budget.Kind(terms.Kind), Cost: budget.Cost{Value: cost}, Bounds: bounds})
	switch {
	case errors.Is(err, budget.ErrUsedUp):
		return NoisyAnswer{}, fmt.Errorf("%w: %w", ErrBudget, err)
	case errors.Is(err, budget.ErrQuery), errors.Is(err, budget.ErrMechanism):
		return NoisyAnswer{}, fmt.Errorf("%w: %w", ErrNoise, err)
	case err != nil:
		return NoisyAnswer{}, err
	}
	left, err := desk.Accounts.Left(ctx, reader)
	if err != nil {
		return NoisyAnswer{}, err
	}
	out := NoisyAnswer{
		By: table.By, Within: answer.Within, Kind: string(answer.Kind), Distribution: "discrete-laplace", Scale: answer.Scale, Cost: answer.Cost,
		Left: left.Value.RatString(), ID: answer.Fingerprint, At: answer.At, Repeated: repeated,
	}
	if answer.Kind == budget.ZCDP {
		out.Distribution = "discrete-gaussian"
	}
	for _, c := range answer.Cells {
		keys := []string{}
		if len(table.By) > 0 {
			keys = strings.Split(c.Cell, keySeparator)
		}
		out.Cells = append(out.Cells, NoisyCell{keys, c.Value})
	}
	return out, nil
}

// Account is how a reader's account stands in the period that began at a time.
func (n *Noise) Account(ctx context.Context, reader string, terms NoiseTerms, since time.Time) (left string, answers int, err error) {
	accounts := n.accounts(terms, since)
	rest, err := accounts.Left(ctx, reader)
	if err != nil {
		return "", 0, err
	}
	answers, err = accounts.Answers(ctx, reader)
	return rest.Value.RatString(), answers, err
}

func (n *Noise) accounts(terms NoiseTerms, since time.Time) *budget.Accounts {
	return &budget.Accounts{Store: n.Store, Now: n.Now, Find: func(_ context.Context, reader string) (budget.Account, error) {
		limit, ok := parseFraction(terms.Budget)
		if !ok {
			return budget.Account{}, budget.ErrNoAccount
		}
		return budget.Account{Recipient: reader, Kind: budget.Kind(terms.Kind), Limit: budget.Cost{Value: limit}, Since: since}, nil
	}}
}

const maxNoisyCells = 4096

// noisyCells are all cells that a cut can have. They come from lists and from
// the calendar, never from the data: that a cell is there must tell nothing.
func noisyCells(q analytics.Query) ([][]string, error) {
	cells := [][]string{{}}
	for _, dim := range q.By {
		codes, err := noisyCodes(dim, q.From, q.To)
		if err != nil {
			return nil, err
		}
		if len(cells)*len(codes) > maxNoisyCells {
			return nil, fmt.Errorf("%w: the cut has more than %d cells", ErrNoise, maxNoisyCells)
		}
		var next [][]string
		for _, cell := range cells {
			for _, code := range codes {
				next = append(next, append(slices.Clone(cell), code))
			}
		}
		cells = next
	}
	return cells, nil
}

func noisyCodes(dim, from, to string) (codes []string, err error) {
	first, err1 := time.Parse(time.DateOnly, from)
	last, err2 := time.Parse(time.DateOnly, to)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%w: its window is none", ErrNoise)
	}
	days := func(form string, monday bool) {
		for at := first; !at.After(last); at = at.AddDate(0, 0, 1) {
			day := at
			if monday {
				day = at.AddDate(0, 0, -(int(at.Weekday())+6)%7)
			}
			if text := day.Format(form); len(codes) == 0 || codes[len(codes)-1] != text {
				codes = append(codes, text)
			}
		}
	}
	switch dim {
	case "month":
		days("2006-01", false)
	case "week":
		days(time.DateOnly, true)
	case "day":
		days(time.DateOnly, false)
	case "hour":
		for h := range 24 {
			codes = append(codes, fmt.Sprintf("%02d", h))
		}
	case "weekday", "age_band", "sex":
		for _, c := range analytics.CodeList(dim) {
			codes = append(codes, c.Code)
		}
		if dim != "weekday" {
			codes = append(codes, "") // unknown
		}
	default:
		// Noise over persons hides no shop, and places are on no list of ours.
		return nil, fmt.Errorf("%w: by %s it would tell of shops or places, which this noise does not protect", ErrNoise, dim)
	}
	return codes, nil
}
