package rights

import (
	"context"
	"time"

	"meguri/ingest"
	"meguri/ingest/consent"
)

// Places is what reaches into the lake and the files of the personal plane:
// [ingest.Eraser].
type Places interface {
	FindInLake(ctx context.Context, x ingest.Erasure, found func(dataset, identity string)) error
	EraseFromLake(ctx context.Context, x ingest.Erasure) error
	FindInSegments(ctx context.Context, x ingest.Erasure, found func(dataset, identity string)) error
	EraseFromSegments(ctx context.Context, x ingest.Erasure) error
	FindInQuarantine(ctx context.Context, persons []ingest.PersonID, found func(dataset, identity string)) error
	EraseFromQuarantine(ctx context.Context, persons []ingest.PersonID) error
	FindPersons(ctx context.Context, persons []ingest.PersonID, found func(dataset, identity string)) error
	ErasePersons(ctx context.Context, persons []ingest.PersonID) error
}

// place is an eraser of one stage.
type place struct {
	name     string
	stage    Stage
	datasets []string
	find     func(ctx context.Context, o Order, found func(dataset, identity string)) error
	erase    func(ctx context.Context, o Order) error
	rule     string
}

func (p place) Name() string       { return p.name }
func (p place) Stage() Stage       { return p.stage }
func (p place) Datasets() []string { return p.datasets }
func (p place) Rule() string       { return p.rule }

func (p place) Plan(ctx context.Context, o Order, t *Tally) error { return p.find(ctx, o, t.Add) }
func (p place) Erase(ctx context.Context, o Order) error          { return p.erase(ctx, o) }

// rowDatasets are the data sets whose rows lie in segments and in the lake.
func rowDatasets() []string {
	names := []string{ingest.PaymentDataset}
	for _, d := range ingest.Datasets() {
		names = append(names, d.Name)
	}
	return names
}

// LakeOf is the eraser of the lake, SegmentsOf that of segments and held rows,
// QuarantineOf that of persons' rows in quarantine, and AttributesOf that of
// persons, their corrections and links.
func LakeOf(p Places) Eraser {
	return place{name: "lake", stage: Lake, datasets: rowDatasets(),
		find: func(ctx context.Context, o Order, found func(string, string)) error {
			return p.FindInLake(ctx, o.erasure(), found)
		},
		erase: func(ctx context.Context, o Order) error { return p.EraseFromLake(ctx, o.erasure()) }}
}

// SegmentsOf is described at LakeOf.
func SegmentsOf(p Places) Eraser {
	return place{name: "segments", stage: Segments, datasets: rowDatasets(),
		find: func(ctx context.Context, o Order, found func(string, string)) error {
			return p.FindInSegments(ctx, o.erasure(), found)
		},
		erase: func(ctx context.Context, o Order) error { return p.EraseFromSegments(ctx, o.erasure()) }}
}

// QuarantineOf is described at LakeOf. By age whole files go: see FilesOf.
func QuarantineOf(p Places) Eraser {
	return place{name: "quarantine rows", stage: Extracts,
		find: func(ctx context.Context, o Order, found func(string, string)) error {
			return p.FindInQuarantine(ctx, o.erasure().Persons, found)
		},
		erase: func(ctx context.Context, o Order) error { return p.EraseFromQuarantine(ctx, o.erasure().Persons) }}
}

// AttributesOf is described at LakeOf.
func AttributesOf(p Places) Eraser {
	return place{name: "persons and links", stage: Registry,
		find: func(ctx context.Context, o Order, found func(string, string)) error {
			return p.FindPersons(ctx, o.erasure().Persons, found)
		},
		erase: func(ctx context.Context, o Order) error { return p.ErasePersons(ctx, o.erasure().Persons) }}
}

// RegistryRule is what a receipt says of a registry that keeps books: what went,
// and what the law has us keep.
const RegistryRule = "氏名・電話・生年月日・性別・地区・同意番号を消去。番号と仕訳は帳簿として保存（会社法432条2項・商法19条3項：10年、法人税法施行規則59条：7年）"

// RegistryOf is the eraser of a registry of one source's persons, whose books
// stay. Known tells whether there is something of a person to erase.
func RegistryOf(source string, known func(ctx context.Context, id string) (bool, error), erase func(ctx context.Context, ids []string) error) Eraser {
	ids := func(o Order) (ids []string) {
		for _, p := range o.Persons {
			if p.Source == source {
				ids = append(ids, p.ID)
			}
		}
		return ids
	}
	return place{name: "registry", stage: Registry, rule: RegistryRule,
		find: func(ctx context.Context, o Order, found func(string, string)) error {
			for _, id := range ids(o) {
				is, err := known(ctx, id)
				if err != nil {
					return err
				}
				if is {
					found("resident", id)
				}
			}
			return nil
		},
		erase: func(ctx context.Context, o Order) error { return erase(ctx, ids(o)) }}
}

// erasure is an order as the places know it.
func (o Order) erasure() ingest.Erasure {
	x := ingest.Erasure{Before: map[string]time.Time{}}
	for _, p := range o.Persons {
		x.Persons = append(x.Persons, ingest.PersonID{Source: p.Source, ID: p.ID})
	}
	for _, c := range o.Cuts {
		x.Before[c.Dataset] = c.Before
	}
	return x
}

// SameOf finds by links under which other numbers persons are known.
func SameOf(im *ingest.Importer) func(context.Context, []consent.Person) ([]consent.Person, error) {
	return func(ctx context.Context, persons []consent.Person) ([]consent.Person, error) {
		all, err := im.Same(ctx, Order{Persons: persons}.erasure().Persons)
		same := make([]consent.Person, len(all))
		for i, p := range all {
			same[i] = consent.Person{Source: p.Source, ID: p.ID}
		}
		return same, err
	}
}
