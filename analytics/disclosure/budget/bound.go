package budget

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
)

// Measure is what is counted.
type Measure string

// The measures.
const (
	Persons Measure = "persons" // distinct persons of a cell
	Yen     Measure = "yen"     // what they spent in it
)

// Contribution is what one person did in one cell. Several of one person in one
// cell are added up.
type Contribution struct {
	Person string // pseudonym
	Cell   string
	Yen    int64 // refunds are negative
}

// Bounds limit what one person can change: it counts in at most this many cells
// of an answer, with at most this much in each. They must not be chosen by
// looking at the data.
type Bounds struct {
	Cells int64 // 1 or more
	Yen   int64 // per person and cell, 1 or more; amounts are clamped to 0 … Yen
}

// step is by how much one person can change a cell.
func (b Bounds) step(measure Measure) int64 {
	if measure == Yen {
		return b.Yen
	}
	return 1
}

// sums returns the exact sums of the cells, in their order, with the
// contributions of each person bounded. Cells that were not asked for do not
// count. Which of a person's cells count, if there are too many, is drawn by
// hashing, the same for the same snapshot; neither it nor the sums depend on the
// order of the list.
//
// The sums are for nobody before they have noise. The error is ErrOverflow.
func (b Bounds) sums(measure Measure, snapshot string, cells []string, list []Contribution) ([]int64, error) {
	number := map[string]int{}
	for i, c := range cells {
		number[c] = i
	}
	type part struct {
		cell  int
		yen   int64
		place [sha256.Size]byte
	}
	// In big integers no order overflows where another does not.
	type key struct {
		person string
		cell   int
	}
	sums := map[key]*big.Int{}
	for _, c := range list {
		i, ok := number[c.Cell]
		if !ok {
			continue
		}
		k := key{c.Person, i}
		if sums[k] == nil {
			sums[k] = new(big.Int)
		}
		sums[k].Add(sums[k], big.NewInt(c.Yen))
	}
	top := big.NewInt(b.step(Yen))
	persons := map[string][]part{}
	for k, sum := range sums {
		p := part{cell: k.cell, place: lot(snapshot, k.person, cells[k.cell])}
		switch {
		case sum.Sign() <= 0:
		case sum.Cmp(top) > 0:
			p.yen = top.Int64()
		default:
			p.yen = sum.Int64()
		}
		persons[k.person] = append(persons[k.person], p)
	}
	out := make([]int64, len(cells))
	for _, parts := range persons {
		if int64(len(parts)) > b.Cells {
			slices.SortFunc(parts, func(x, y part) int {
				return cmp.Or(slices.Compare(x.place[:], y.place[:]), cmp.Compare(x.cell, y.cell))
			})
			parts = parts[:b.Cells]
		}
		for _, p := range parts {
			n := int64(1)
			if measure == Yen {
				n = p.yen
			}
			if out[p.cell] > math.MaxInt64-n {
				return nil, ErrOverflow
			}
			out[p.cell] += n
		}
	}
	return out, nil
}

// lot draws the place of a cell among those of a person.
func lot(snapshot, person, cell string) [sha256.Size]byte {
	var b []byte
	for _, s := range []string{snapshot, person, cell} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(b)
}
