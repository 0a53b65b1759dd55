package duck_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"meguri/analytics/duck"
	"meguri/analytics/unicity"
	"meguri/pseudonymize/lake"
)

func extract(t *testing.T, l *lake.Lake) *duck.Extract {
	t.Helper()
	x, err := open(t, l).Extract(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// payer is a person of a small city, with what they did.
type payer struct {
	sex, age string
	visits   []visit
}

type visit struct {
	shop, day, hour int
}

var (
	industries = []string{"cafe", "grocery", "books", "beauty"}
	ages       = []string{"0-9", "20-29", "30-39", "80-89", "90+", "unknown"}
	twenties   = map[string]string{"0-9": "0-19", "20-29": "20-39", "30-39": "20-39", "80-89": "80+", "90+": "80+", "unknown": "unknown"}
)

// rows writes the city as lakeOf reads it.
func rows(city []payer) string {
	var text strings.Builder
	n := 0
	for i, p := range city {
		for _, v := range p.visits {
			n++
			fmt.Fprintf(&text, "pay r%d r%d - p%02d s%d 100 2024-06-%02dT%02d:15 %s %s %s\n", n, n, i, v.shop, v.day, v.hour, industries[v.shop], p.sex, p.age)
		}
	}
	return text.String() + "commit\n"
}

// key is a visit by a grain, as brute force tells them apart.
func (v visit) key(g unicity.Grain) string {
	place := map[unicity.Place]string{unicity.Shop: fmt.Sprint(v.shop), unicity.ShopArea: "A", unicity.IndustryArea: industries[v.shop]}[g.Place]
	moment := map[unicity.Time]int{unicity.Day: v.day, unicity.Week: (v.day + 4) / 7, unicity.Month: 6}[g.Time] // 3 June is a Monday
	if g.Hour {
		return fmt.Sprint(place, " ", moment, " ", v.hour)
	}
	return fmt.Sprint(place, " ", moment)
}

func (p payer) keys(g unicity.Grain) map[string]bool {
	keys := map[string]bool{}
	for _, v := range p.visits {
		keys[v.key(g)] = true
	}
	return keys
}

// Recipe 8 and 12: what DuckDB counts is what brute force over all persons
// counts: classes, and with all visits known, who is unique. A person with more
// visits than are known is unique at least as seldom.
func TestUnicity_IsBruteForce(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value // each has a lake and an engine of its own
	before := checks.String()
	if err := checks.Set("25"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = checks.Set(before) }()
	rapid.Check(t, func(rt *rapid.T) {
		visits := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) visit {
			return visit{rapid.IntRange(0, 3).Draw(rt, "shop"), rapid.IntRange(1, 30).Draw(rt, "day"), rapid.SampledFrom([]int{9, 17}).Draw(rt, "hour")}
		}), 1, 5)
		city := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) payer {
			return payer{rapid.SampledFrom([]string{"female", "male"}).Draw(rt, "sex"), rapid.SampledFrom(ages).Draw(rt, "age"), visits.Draw(rt, "visits")}
		}), 1, 12).Draw(rt, "city")
		for i := range city { // neighbours share visits, or nobody would be like another
			if i > 0 && rapid.Bool().Draw(rt, "like the one before") {
				city[i].visits = slices.Clone(city[i-1].visits)
			}
		}
		e, err := duck.Open(lakeOf(t, rows(city)), duck.Options{MemoryMiB: 256, Threads: 1})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = e.Close() }() // what it says is what counts
		x, err := e.Extract(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = x.Close() }()
		g := unicity.Grain{
			Age20: rapid.Bool().Draw(rt, "20 years"), City: true, Hour: rapid.Bool().Draw(rt, "with hour"),
			Place: rapid.SampledFrom([]unicity.Place{unicity.Shop, unicity.ShopArea, unicity.IndustryArea}).Draw(rt, "place"),
			Time:  rapid.SampledFrom([]unicity.Time{unicity.Day, unicity.Week, unicity.Month}).Draw(rt, "time"),
		}
		const k, l = 3, 2
		type class struct{ sex, age string }
		persons, seen := map[class]int64{}, map[class]map[int]bool{}
		for _, p := range city {
			c := class{p.sex, p.age}
			if g.Age20 {
				c.age = twenties[p.age]
			}
			if persons[c]++; seen[c] == nil {
				seen[c] = map[int]bool{}
			}
			for _, v := range p.visits {
				seen[c][v.shop] = true
			}
		}
		want := unicity.Classes{Persons: int64(len(city)), Classes: int64(len(persons))}
		for c, n := range persons {
			if n == 1 {
				want.Unique++
			}
			if n < k {
				want.BelowK += n
			}
			if len(seen[c]) < l {
				want.BelowL += n
			}
		}
		got, err := x.Classes(t.Context(), g, k, l, false)
		if err != nil || got != want {
			rt.Fatalf("classes: got %+v, want %+v, %v", got, want, err)
		}

		alone, all := int64(0), map[string]bool{}
		for i, p := range city {
			mine, others := p.keys(g), 0
			maps.Copy(all, mine)
			for j, o := range city {
				theirs := o.keys(g)
				if i != j && !slices.ContainsFunc(slices.Collect(maps.Keys(mine)), func(k string) bool { return !theirs[k] }) {
					others++
				}
			}
			if others == 0 {
				alone++
			}
		}
		drawn, unique, keys, err := x.Visits(t.Context(), g, unicity.Draw{Persons: 1000, Seed: rapid.Uint64().Draw(rt, "seed")}, 1, 2, 3, 4, 5)
		if err != nil || drawn != int64(len(city)) || keys != int64(len(all)) {
			rt.Fatalf("%d drawn of %d, %d keys of %d, %v", drawn, len(city), keys, len(all), err)
		}
		if unique[4] != alone { // nobody has more than five
			rt.Fatalf("by all visits: got %d unique, want %d", unique[4], alone)
		}
		if !slices.IsSorted(unique) {
			rt.Fatalf("whoever knows more singles out fewer: %v", unique)
		}
	})
}

// Whoever is drawn, and by which visits, follows from the seed alone.
func TestUnicity_SameSeedSameDraw(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var city []payer
	for range 60 {
		p := payer{sex: "female", age: "20-29"}
		for range 8 {
			p.visits = append(p.visits, visit{rng.IntN(4), 1 + rng.IntN(9), 9})
		}
		city = append(city, p)
	}
	l := lakeOf(t, rows(city))
	ask := func(seed uint64) string {
		t.Helper()
		drawn, unique, _, err := extract(t, l).Visits(t.Context(), unicity.Grain{Place: unicity.Shop, Time: unicity.Day}, unicity.Draw{Persons: 25, Seed: seed}, 1, 2, 3)
		if err != nil || drawn != 25 {
			t.Fatalf("%d drawn, %v", drawn, err)
		}
		return fmt.Sprint(unique)
	}
	answers := map[string]bool{}
	for seed := range uint64(6) {
		first := ask(seed)
		if again := ask(seed); again != first {
			t.Errorf("seed %d: got %s, and then %s", seed, first, again)
		}
		answers[first] = true
	}
	if len(answers) == 1 {
		t.Error("every seed gives the same answer, and the test shows nothing")
	}
}

// The report on a city that is written down, in both languages, and on none.
func TestUnicity_Golden(t *testing.T) {
	var city []payer
	for i := range 12 { // each alone by the second visit's hour, until it is left out
		city = append(city, payer{"female", ages[1+i%2], []visit{{0, 3 + i/2, 9}, {1, 10 + i/4, 8 + i}, {2, 17 + i/2, 17 + i%2}, {3, 24, 17}}})
	}
	city = append(city, payer{"male", "90+", []visit{{0, 3, 9}}})
	for name, l := range map[string]*lake.Lake{"city": lakeOf(t, rows(city)), "mended": lakeOf(t, rows(city[:12])), "empty": lake.Open(t.TempDir())} {
		r, err := unicity.Build(t.Context(), extract(t, l), unicity.Default, unicity.Draw{Persons: 1000, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		for file, write := range map[string]func(*bytes.Buffer) error{
			"ja.txt":  func(b *bytes.Buffer) error { return r.Text(b, "ja") },
			"en.txt":  func(b *bytes.Buffer) error { return r.Text(b, "en") },
			"ja.html": func(b *bytes.Buffer) error { return r.HTML(b, "ja") },
			"json":    func(b *bytes.Buffer) error { return r.JSON(b, "") },
		} {
			if name == "empty" && file != "en.txt" {
				continue
			}
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "unicity", name+"."+file)
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || b.String() != string(want) {
				t.Errorf("%s differs (%v):\n%s", path, err, b.String())
			}
		}
	}
}
