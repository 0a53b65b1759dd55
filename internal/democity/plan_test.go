package democity

import (
	"math"
	"reflect"
	"testing"
	"time"
)

func TestNewPlan_IsDecidedByItsSeed(t *testing.T) {
	c := Config{Residents: 50, Shops: 14, Weeks: 4, Seed: 7}
	if !reflect.DeepEqual(NewPlan(c), NewPlan(c)) {
		t.Error("the same config gave two cities")
	}
	other := c
	other.Seed = 8
	if reflect.DeepEqual(NewPlan(c).Residents, NewPlan(other).Residents) {
		t.Error("another seed gave the same residents")
	}
}

// MT-2: those of 70 and over get 3 % of the price as points.
func TestNewPlan_LooksLikeACity(t *testing.T) {
	p := NewPlan(Default)
	var payments, cancels, combined int
	var paidWeekend, paidWeekday float64
	once := 0
	industries := map[string]bool{}
	for _, s := range p.Shops {
		industries[s.Industry] = true
	}
	_, last := p.Config.Days()
	for _, r := range p.Residents {
		own := 0
		var voucher, points int64
		before := time.Time{}
		for _, e := range r.Events {
			if e.At.Before(before) {
				t.Fatalf("resident %s goes back in time", r.ID)
			}
			before = e.At
			switch e.Kind {
			case "charge":
				voucher += int64(e.Units) * unitValue
			case "grant":
				points += e.Points
			case "pay":
				own++
				voucher, points = voucher-e.Voucher, points-e.Points
				if e.Voucher > 0 && e.Points > 0 {
					combined++
				}
				if d := e.At.Weekday(); d == time.Saturday || d == time.Sunday {
					paidWeekend += 1. / 2
				} else {
					paidWeekday += 1. / 5
				}
			case "cancel":
				cancels++
				voucher, points = voucher+find(r.Events, e.Target).Voucher, points+find(r.Events, e.Target).Points
			}
			if voucher < 0 || points < 0 {
				t.Fatalf("resident %s spends more than there is", r.ID)
			}
			if e.At.In(tokyo).Format(time.DateOnly) > last {
				t.Fatalf("resident %s pays after the last day", r.ID)
			}
		}
		payments += own
		if own == 1 {
			once++
		}
	}
	if payments != p.Payments() || math.Abs(float64(payments)-60000) > 9000 {
		t.Errorf("%d payments, want about 60,000", payments)
	}
	if len(industries) != 12 || cancels < 300 || combined < 1000 || once < 300 || paidWeekend < 1.1*paidWeekday {
		t.Errorf("industries %d, cancels %d, combined payments %d, one-timers %d, weekend to weekday %.2f",
			len(industries), cancels, combined, once, paidWeekend/paidWeekday)
	}
	t.Logf("payments %d, cancels %d, combined %d, one-timers %d", payments, cancels, combined, once)
}

func find(events []Event, id string) Event {
	for _, e := range events {
		if e.ID == id {
			return e
		}
	}
	return Event{}
}
