package consent

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// Direction says who handed the data over.
type Direction string

// The directions.
const (
	Provided Direction = "provided" // 提供 (Act 29)
	Received Direction = "received" // 受領 (Act 30)
)

// KeepYears is how long records of provision are kept (Rule 21).
const KeepYears = 3

// Provision is the record of personal data that went to a third party, or came
// from one (Act 29, 30; Rules 19 to 24).
type Provision struct {
	ID        string    `json:"id"`
	Direction Direction `json:"direction"`
	At        time.Time `json:"at"`
	Party     Party     `json:"party"` // to whom, or from whom
	Items     []string  `json:"items"`
	Basis     string    `json:"basis"`            // consent, 27-2 (opt-out), or entrustment, joint_use
	Origin    string    `json:"origin,omitempty"` // 取得の経緯: how the provider came by them, when received
	By        string    `json:"by"`
	Exempt    string    `json:"exempt,omitempty"` // why there is no record of persons
}

const kindProvision = "provision"

// exempt says why some provisions need no record (Act 27(5), 29(1)).
var exempt = map[string]string{
	string(Entrustment): "委託に伴う提供のため、記録の対象外（法第27条第5項第1号・第29条第1項ただし書）",
	string(JointUse):    "共同利用に伴う提供のため、記録の対象外（法第27条第5項第3号・第29条第1項ただし書）",
}

// RecordProvision enters a provision, one entry for each person, all or none. One
// that is exempt is entered once, with the reason and without persons.
func (d *Desk) RecordProvision(ctx context.Context, p Provision, people []Person) (Provision, error) {
	fault := func(problem string) (Provision, error) { return p, fmt.Errorf("%w: %s", ErrInvalid, problem) }
	p.Exempt = exempt[p.Basis]
	switch {
	case p.Direction != Provided && p.Direction != Received:
		return fault("the direction is provided or received")
	case !p.Party.whole():
		return fault("the other party has a name, an address and a representative")
	case p.Exempt == "" && p.Basis != "consent" && p.Basis != "27-2":
		return fault("the basis is consent, 27-2, entrustment or joint_use")
	case p.Direction == Received && p.Exempt == "" && strings.TrimSpace(p.Origin) == "":
		return fault("say how the provider came by the data (Act 30(1)(ii))")
	case strings.TrimSpace(p.By) == "":
		return fault("say who does it")
	case p.At.IsZero() || p.At.After(d.Now()):
		return fault("the time is missing or lies in the future")
	case p.Exempt == "" && len(people) == 0:
		return fault("a record names the persons")
	case p.Exempt != "" && len(people) > 0:
		return fault("this provision is exempt from records: name no persons")
	case len(p.Items) == 0:
		return fault("a record names the items")
	}
	if err := checkItems(p.Items); err != nil {
		return p, err
	}
	p.ID, p.At = "p-"+strings.ToLower(rand.Text()[:16]), p.At.UTC().Truncate(time.Microsecond)
	if p.Exempt != "" {
		people = []Person{{}}
	}
	var entries []Entry
	for _, who := range people {
		if p.Exempt == "" {
			if err := who.check(); err != nil {
				return p, err
			}
		}
		e, err := NewEntry(Provisions, kindProvision, p.ID, who, p)
		if err != nil {
			return p, err
		}
		e.At, e.KeepUntil = d.Now(), p.At.AddDate(KeepYears, 0, 0)
		entries = append(entries, e)
	}
	return p, d.Store.Append(ctx, -1, entries)
}

// Handed is a record of provision with the person whom it is about.
type Handed struct {
	Number int64
	Person Person
	Provision
}

// Provisions calls use with the records that are left, of one person or of all.
func (d *Desk) Provisions(ctx context.Context, of Person, use func(Handed) error) error {
	for e, err := range d.Store.Entries(ctx, Select{Book: Provisions, Person: of}) {
		if err != nil {
			return err
		}
		if e.Purged() {
			continue
		}
		h := Handed{Number: e.Number, Person: e.Person}
		if err := e.Read(&h.Provision); err != nil {
			return err
		}
		if err := use(h); err != nil {
			return err
		}
	}
	return nil
}
