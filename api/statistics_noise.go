package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"meguri/analytics"
	"meguri/analytics/disclosure"
	"meguri/analytics/recipient"
	"meguri/openapi/statistics"
	op "meguri/openapi/statistics/server"
)

// Noise answers noisy counts; [disclosure.Noise] is the one there is.
type Noise interface {
	Answer(ctx context.Context, reader string, terms disclosure.NoiseTerms, since time.Time, q disclosure.NoisyQuestion) (disclosure.NoisyAnswer, error)
	Account(ctx context.Context, reader string, terms disclosure.NoiseTerms, since time.Time) (left string, answers int, err error)
}

// overspent is disclosure.ErrBudget with the time from which there is more.
type overspent struct {
	error
	again time.Time // zero is never
}

func (o *overspent) Unwrap() error { return o.error }

// CountWithNoise answers a question under a contract that has a budget for it.
// The answer leaves only when it is in the log.
func (a *statisticsAPI) CountWithNoise(ctx context.Context, r op.CountWithNoiseRequestObject) (op.CountWithNoiseResponseObject, error) {
	contract, ok, err := a.contract(ctx)
	if err == nil && !ok {
		err = recipient.ErrNotFound
	}
	if !ok {
		return nil, err
	}
	period, parseErr := recipient.ParsePeriod(r.Body.Period)
	if parseErr != nil { // the contract's pattern lets none through
		return nil, errInvalidRequest
	}
	q := disclosure.NoisyQuestion{Measure: string(r.Body.Measure), From: period.From, To: period.To, By: dimensionsIn(r.Body.By), Cost: r.Body.Cost}
	e := entryOf(ctx, analytics.Query{Metric: q.Metric(), From: q.From, To: q.To, By: q.By})
	e.Contract, e.Operation, e.Purpose, e.Format = contract.ID, "countWithNoise", r.Body.Purpose, "noise"
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	answer, err := a.noisy(ctx, contract, q, e)
	if err != nil {
		return nil, a.refused(ctx, e, err)
	}
	return answer, nil
}

func (a *statisticsAPI) noisy(ctx context.Context, c recipient.Contract, q disclosure.NoisyQuestion, e recipient.Entry) (op.CountWithNoiseResponseObject, error) {
	purpose, err := c.Purpose(e.Purpose)
	if err != nil {
		return nil, err
	}
	e.Purpose = purpose.ID
	if c.Noise == nil || a.Noise == nil {
		return nil, fmt.Errorf("%w: it has no budget for noise", recipient.ErrNotInContract)
	}
	if err := c.Offers(analytics.Query{Metric: q.Metric(), From: q.From, To: q.To, By: q.By}); err != nil {
		return nil, err
	}
	if err := a.Recipients.Room(ctx, c, e.Table()); err != nil {
		return nil, err
	}
	since, next := c.BudgetPeriod(a.Now())
	answer, err := a.Noise.Answer(disclosure.For(ctx, purpose.ID), c.Reader, *c.Noise, since, q)
	if errors.Is(err, disclosure.ErrBudget) {
		return nil, &overspent{err, next}
	}
	if err != nil {
		return nil, err
	}
	out := noisyOut(q, answer)
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write noisy counts: %w", err)
	}
	e.Release, e.Bytes = answer.ID, int64(len(text))
	return op.CountWithNoise200JSONResponse(out), a.Recipients.Give(ctx, c, e)
}

func noisyOut(q disclosure.NoisyQuestion, a disclosure.NoisyAnswer) statistics.NoisyCounts {
	out := statistics.NoisyCounts{
		Measure: statistics.NoisyMeasure(q.Measure), From: dayOut(q.From), To: dayOut(q.To), By: dimensionsOut(a.By), Cells: []statistics.NoisyCell{},
		Within: a.Within, Kind: statistics.NoiseKind(a.Kind), Distribution: statistics.NoisyCountsDistribution(a.Distribution), Scale: a.Scale,
		Cost: a.Cost, Left: a.Left, Repeated: a.Repeated, QuestionID: a.ID, AnsweredAt: a.At,
	}
	for _, c := range a.Cells {
		out.Cells = append(out.Cells, statistics.NoisyCell{Keys: c.Keys, Value: c.Value, Low: c.Value - a.Within, High: c.Value + a.Within})
	}
	return out
}

// noiseOut is what a contract says of noisy counts, with what is left.
func (a *statisticsAPI) noiseOut(ctx context.Context, c recipient.Contract) (out statistics.NoiseTerms, err error) {
	t := *c.Noise
	since, _ := c.BudgetPeriod(a.Now())
	out = statistics.NoiseTerms{Kind: statistics.NoiseKind(t.Kind), Budget: t.Budget, Period: statistics.NoiseTermsPeriod(t.Period), MaxCells: t.Cells, MaxYen: t.Yen}
	out.Left, _, err = a.Noise.Account(ctx, c.Reader, t, since)
	return out, err
}
