package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// The rules of the walk: who may hold what. Everything that leaves is made from
// released tables, and only the gate makes these.
const (
	gatePath  = module + "/analytics/disclosure"
	rawPath   = module + "/analytics"
	tablePath = module + "/openapi/statistics"
)

var (
	// makers are what hands out a released table, builders what fills one.
	makers   = []string{"Gate.Release", "Gate.ReleaseTo"}
	builders = []string{"apply", "Gate.restore"}
	// raw is what has not gone through the gate, and rawRooms who may hold it.
	raw      = []string{"Table", "Cell", "Part", "Engine"}
	rawRooms = []string{rawPath, rawPath + "/duck", rawPath + "/analyticstest", gatePath}
	// gateRooms may make a gate, with everything that a gate must have.
	gateRooms = []string{module + "/cmd/meguri"}
	gateNeeds = []string{"Engine", "Register", "Audit", "Purpose"}
)

// world is the module's packages, and what the compiler knows of those that they
// import.
type world struct {
	fset     *token.FileSet
	importer types.Importer
	own      []listed
}

type listed struct {
	ImportPath, Dir, Export string
	GoFiles, CgoFiles       []string
	SFiles                  []string
}

// theWorld is loaded once.
var theWorld = sync.OnceValues(newWorld)

func newWorld() (*world, error) {
	cmd := exec.Command("go", "list", "-tags", "duckdb_arrow", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,CgoFiles,SFiles", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	w := &world{fset: token.NewFileSet()}
	exports := map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, module+"/") {
			w.own = append(w.own, p)
		}
	}
	w.importer = importer.ForCompiler(w.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return w, nil
}

// source is a package with its types.
type source struct {
	path  string
	fset  *token.FileSet
	files []*ast.File
	pkg   *types.Package
	info  *types.Info
}

// check works out the types of a package: files by name, nil where they are to be
// read from disk.
func (w *world) check(path string, names []string, texts [][]byte) (*source, error) {
	s := &source{path: path, fset: w.fset, info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
	}}
	for i, name := range names {
		var text any
		if texts != nil {
			text = texts[i]
		}
		f, err := parser.ParseFile(w.fset, name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, f)
	}
	var err error
	s.pkg, err = (&types.Config{Importer: w.importer}).Check(path, w.fset, s.files, s.info)
	return s, err
}

// IC-8: TestWalk_OnlyTheGateMakesWhatLeaves looks at every function, type,
// literal, conversion and assignment of the module: nothing but the gate can make
// a released table or put something into one, and what leaves is made from
// released tables and from nothing else.
func TestWalk_OnlyTheGateMakesWhatLeaves(t *testing.T) {
	w, err := theWorld()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, p := range w.own {
		var names []string
		for _, f := range p.GoFiles {
			names = append(names, filepath.Join(p.Dir, f))
		}
		if len(p.CgoFiles)+len(p.SFiles) > 0 {
			t.Errorf("%s has assembly or C, which the walk cannot look into", p.ImportPath)
		}
		s, err := w.check(p.ImportPath, names, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == gatePath {
			seen++
		}
		for _, fault := range s.faults() {
			t.Error(fault)
		}
	}
	if seen != 1 || len(w.own) < 30 {
		t.Errorf("%d packages were looked at, and the gate %d times", len(w.own), seen)
	}
}

// TestWalk_FindsEachBreach breaks each rule once.
func TestWalk_FindsEachBreach(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/walk.txtar")
	if err != nil {
		t.Fatal(err)
	}
	w, err := theWorld()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		t.Run(f.Name, func(t *testing.T) {
			first, _, _ := strings.Cut(string(f.Data), "\n")
			want := strings.TrimPrefix(first, "// ")
			path := map[string]string{"gate": gatePath, "reports": module + "/reports", "api": module + "/api", "cmd": module + "/cmd/meguri"}[filepath.Dir(f.Name)]
			s, err := w.check(path, []string{f.Name}, [][]byte{f.Data})
			if err != nil {
				t.Fatal(err)
			}
			faults := s.faults()
			if want == "nothing" {
				if len(faults) > 0 {
					t.Errorf("a package that breaks no rule: %q", faults)
				}
				return
			}
			if len(faults) == 0 || slices.ContainsFunc(faults, func(f string) bool { return !strings.Contains(f, want) }) {
				t.Errorf("got %q, want %q", faults, want)
			}
		})
	}
}

// faults are the places where a package breaks a rule.
func (s *source) faults() (all []string) {
	fault := func(at token.Pos, format string, args ...any) {
		all = append(all, fmt.Sprintf("%s: %s", s.fset.Position(at), fmt.Sprintf(format, args...)))
	}
	s.sources(fault)
	s.declarations(fault)
	if s.path == gatePath {
		s.gate(fault)
	}
	if s.path == module+"/reports" {
		s.figures(fault)
	}
	for _, f := range s.files {
		for _, d := range f.Decls {
			s.body(d, fault)
		}
	}
	return all
}

type report func(at token.Pos, format string, args ...any)

// sources looks at what a package imports and at the compiler's directives.
func (s *source) sources(fault report) {
	seesGate := s.path == gatePath || slices.ContainsFunc(s.pkg.Imports(), func(p *types.Package) bool { return p.Path() == gatePath })
	for _, f := range s.files {
		for _, i := range f.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if path == "unsafe" || path == "reflect" && seesGate || path == "C" {
				fault(i.Pos(), "imports %s, with which a released table can be filled", path)
			}
		}
		for _, g := range f.Comments {
			for _, c := range g.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					fault(c.Pos(), "goes round the names of packages by go:linkname")
				}
			}
		}
	}
}

// declarations looks at a package's types.
func (s *source) declarations(fault report) {
	for _, o := range s.objects() {
		name, ok := o.(*types.TypeName)
		if !ok || name.IsAlias() || s.isReleased(name.Type()) {
			continue
		}
		if r := s.released(); r != nil && types.Identical(name.Type().Underlying(), r.Underlying()) {
			fault(name.Pos(), "%s has the structure of Released and can be converted to it", name.Name())
		}
		if st, ok := name.Type().Underlying().(*types.Struct); ok {
			for f := range st.Fields() {
				if f.Embedded() && (s.isReleased(f.Type()) || s.isReleased(deref(f.Type()))) {
					fault(f.Pos(), "%s embeds Released", name.Name())
				}
			}
		}
	}
}

// objects are what is declared, in functions too.
func (s *source) objects() (all []types.Object) {
	for _, o := range s.info.Defs {
		if o != nil {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b types.Object) int { return int(a.Pos()) - int(b.Pos()) })
	return all
}

// released is the type Released as this package sees it.
func (s *source) released() types.Type {
	pkgs := append([]*types.Package{s.pkg}, s.pkg.Imports()...)
	for _, p := range pkgs {
		if p.Path() == gatePath {
			if o := p.Scope().Lookup("Released"); o != nil {
				return o.Type()
			}
		}
	}
	return nil
}

func named(t types.Type, path string, names ...string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path && slices.Contains(names, n.Obj().Name())
}

func (s *source) isReleased(t types.Type) bool { return named(t, gatePath, "Released") }
func (s *source) isRaw(t types.Type) bool      { return named(t, rawPath, raw...) }

// contains reports whether a type is made of one that is looked for. It looks
// into this package's own types; those of others are theirs to answer for.
func (s *source) contains(t types.Type, is func(types.Type) bool) bool {
	seen := map[types.Type]bool{}
	var in func(types.Type) bool
	tuple := func(list *types.Tuple) bool {
		for v := range list.Variables() {
			if in(v.Type()) {
				return true
			}
		}
		return false
	}
	in = func(t types.Type) bool {
		t = types.Unalias(t)
		if t == nil || seen[t] {
			return false
		}
		if is(t) {
			return true
		}
		seen[t] = true
		switch t := t.(type) {
		case *types.Named:
			for a := range t.TypeArgs().Types() {
				if in(a) {
					return true
				}
			}
			return t.Obj().Pkg() == s.pkg && in(t.Underlying())
		case *types.Pointer:
			return in(t.Elem())
		case *types.Slice:
			return in(t.Elem())
		case *types.Array:
			return in(t.Elem())
		case *types.Chan:
			return in(t.Elem())
		case *types.Map:
			return in(t.Key()) || in(t.Elem())
		case *types.Tuple:
			return tuple(t)
		case *types.Signature:
			return tuple(t.Params()) || tuple(t.Results())
		case *types.Struct:
			for f := range t.Fields() {
				if in(f.Type()) {
					return true
				}
			}
		case *types.Interface:
			for m := range t.Methods() {
				if in(m.Type()) {
					return true
				}
			}
		}
		return false
	}
	return in(t)
}

// gate looks at the gate's own package: its type Released has nothing that others
// could fill, and only the makers hand one out.
func (s *source) gate(fault report) {
	r := s.released()
	st, ok := r.Underlying().(*types.Struct)
	if !ok {
		fault(s.pkg.Scope().Lookup("Released").Pos(), "Released is no structure")
		return
	}
	for f := range st.Fields() {
		if f.Exported() || f.Embedded() {
			fault(f.Pos(), "the field %s of Released is exported or embedded", f.Name())
		}
	}
	for m := range types.NewMethodSet(types.NewPointer(r)).Methods() {
		f := m.Obj().(*types.Func)
		if _, pointer := f.Signature().Recv().Type().(*types.Pointer); pointer || f.Signature().Params().Len() > 0 {
			fault(f.Pos(), "the method %s of Released can change one", f.Name())
		}
	}
	for _, o := range s.objects() {
		if !o.Exported() || s.isReleased(o.Type()) && isTypeName(o) {
			continue
		}
		switch o := o.(type) {
		case *types.Func:
			name := s.nameOf(o)
			sig := o.Signature()
			if s.contains(sig.Results(), s.isReleased) && !slices.Contains(makers, name) {
				fault(o.Pos(), "%s hands out a Released", name)
			}
			for v := range sig.Params().Variables() {
				if s.contains(v.Type(), func(t types.Type) bool { p, ok := t.(*types.Pointer); return ok && s.isReleased(p.Elem()) }) {
					fault(o.Pos(), "%s takes a *Released, which it can change", name)
				}
			}
		case *types.Var:
			if (o.IsField() || o.Parent() == s.pkg.Scope()) && s.contains(o.Type(), s.isReleased) {
				fault(o.Pos(), "%s is exported and holds a Released", o.Name())
			}
		}
	}
}

func isTypeName(o types.Object) bool { _, ok := o.(*types.TypeName); return ok }

// nameOf is a function's name, after its receiver's.
func (s *source) nameOf(f *types.Func) string {
	recv := f.Signature().Recv()
	if recv == nil {
		return f.Name()
	}
	t := recv.Type()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name() + "." + f.Name()
	}
	return f.Name()
}

// figures looks at what reports take from others: figures only in a Released,
// nothing that could be anything.
func (s *source) figures(fault report) {
	for _, o := range s.objects() {
		f, ok := o.(*types.Func)
		if !ok || !f.Exported() || !ast.IsExported(s.nameOf(f)) {
			continue
		}
		for v := range f.Signature().Params().Variables() {
			if s.contains(v.Type(), func(t types.Type) bool {
				switch t := t.(type) {
				case *types.Basic:
					return t.Info()&types.IsFloat != 0
				case *types.Interface:
					return t.Empty() || !t.IsMethodSet()
				}
				return false
			}) && !s.made(v.Type()) {
				fault(f.Pos(), "%s takes a figure that is in no Released: %s", s.nameOf(f), v.Type())
			}
		}
	}
}

// made reports whether a type has nothing that others could fill in.
func (s *source) made(t types.Type) bool {
	st, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for f := range st.Fields() {
		if f.Exported() {
			return false
		}
	}
	return true
}

// body looks at what is done in a declaration.
func (s *source) body(d ast.Decl, fault report) {
	where := ""
	takes := false // a Released
	if f, ok := d.(*ast.FuncDecl); ok {
		if o, ok := s.info.Defs[f.Name].(*types.Func); ok {
			where, takes = s.nameOf(o), s.contains(o.Signature().Params(), s.isReleased)
		}
	}
	builds := s.path == gatePath && slices.Contains(builders, where)
	var look func(n ast.Node) bool
	look = func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok && !slices.Contains(rawRooms, s.path) && s.contains(s.info.TypeOf(e), s.isRaw) {
			fault(e.Pos(), "holds what has not gone through the gate: %s", s.info.TypeOf(e))
			return false
		}
		switch n := n.(type) {
		case *ast.KeyValueExpr: // a field that is filled holds nothing
			ast.Inspect(n.Value, look)
			return false
		case *ast.CompositeLit:
			t := s.info.TypeOf(n)
			switch {
			case len(n.Elts) > 0 && named(t, gatePath, "Released") && !builds, len(n.Elts) > 0 && named(t, gatePath, "Cell") && s.path != gatePath:
				fault(n.Pos(), "fills a %s", t)
			case named(t, gatePath, "Gate") && s.path != gatePath:
				s.newGate(n, fault)
			case len(n.Elts) > 0 && named(t, tablePath, "Cell", "Table") && !strings.HasPrefix(s.path, tablePath) && !takes:
				fault(n.Pos(), "makes a table of the contract, and takes no Released")
			}
		case *ast.CallExpr:
			if s.info.Types[n.Fun].IsType() && len(n.Args) == 1 {
				to, from := s.info.TypeOf(n.Fun), s.info.TypeOf(n.Args[0])
				if s.contains(to, s.isReleased) && !types.Identical(to, from) && from != types.Typ[types.UntypedNil] && !types.IsInterface(to) {
					fault(n.Pos(), "converts %s to %s", from, to)
				}
			}
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "new" && s.path != gatePath && len(n.Args) == 1 && named(s.info.TypeOf(n.Args[0]), gatePath, "Gate") {
				fault(n.Pos(), "makes a gate without an auditor and a register")
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				s.assigned(left, builds, fault)
			}
		case *ast.IncDecStmt:
			s.assigned(n.X, builds, fault)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				if _, literal := n.X.(*ast.CompositeLit); !literal {
					s.assigned(n.X, builds, fault)
				}
			}
		}
		return true
	}
	ast.Inspect(d, look)
}

// newGate looks at a gate that is made outside of its package.
func (s *source) newGate(n *ast.CompositeLit, fault report) {
	if !slices.Contains(gateRooms, s.path) {
		fault(n.Pos(), "makes a gate")
		return
	}
	var has []string
	for _, e := range n.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			has = append(has, fmt.Sprint(kv.Key))
		}
	}
	for _, need := range gateNeeds {
		if !slices.Contains(has, need) {
			fault(n.Pos(), "makes a gate without %s", need)
		}
	}
}

// assigned looks at what is assigned to, or can be by its address.
func (s *source) assigned(left ast.Expr, builds bool, fault report) {
	for e := ast.Unparen(left); ; {
		switch x := e.(type) {
		case *ast.SelectorExpr:
			if o, ok := s.info.Uses[x.Sel].(*types.Var); ok && o.Pkg() != nil && o.Pkg().Path() == gatePath {
				switch selection := s.info.Selections[x]; {
				case selection == nil && s.path != gatePath:
					fault(left.Pos(), "changes %s of the gate", o.Name())
					return
				case selection != nil && s.contains(selection.Recv(), s.isReleased) && !builds && isField(selection):
					if t := types.Unalias(selection.Recv()); s.isReleased(t) || s.isReleased(deref(t)) {
						fault(left.Pos(), "changes the field %s of a Released", o.Name())
						return
					}
				case selection != nil && s.path != gatePath && named(deref(selection.Recv()), gatePath, "Cell", "Gate"):
					fault(left.Pos(), "changes the field %s of the gate's", o.Name())
					return
				}
			}
			e = ast.Unparen(x.X)
		case *ast.IndexExpr:
			e = ast.Unparen(x.X)
		case *ast.StarExpr:
			e = ast.Unparen(x.X)
		default:
			return
		}
	}
}

func isField(s *types.Selection) bool { return s.Kind() == types.FieldVal }

func deref(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}
