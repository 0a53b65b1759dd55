package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withPurpose are the functions that make commands which read the lake, with the
// commands that must take a purpose of the registry.
var withPurpose = map[string][]string{
	"metricsRunCommand":    {"metrics run"},
	"reportCommand":        {"report ebpm", "report shop"},
	"unicityCommand":       {"unicity"},
	"lakePushCommand":      {"lake push"},
	"analystExportCommand": {"analyst export"},
	"analystGrantCommand":  {"analyst grant"},
	"unicityAccept":        {"unicity accept"},
	"recipientBundle":      {"recipient bundle"},
}

// withoutPurpose are those that take none, each with its reason.
var withoutPurpose = map[string]string{
	"serveCommand":        "pages are for the configuration's purpose, tables of contracts for theirs; the gate asks for each",
	"demoCommand":         "a made-up city registers the purpose that it shows",
	"pipelineCommand":     "rows are pseudonymized for the configuration's purpose, and coverage asks for it",
	"importCommand":       "with --pipeline it does what that command does",
	"rekeyCommand":        "the pipeline's, with a new key",
	"duckRewriteCommand":  "a measurement: what it writes is removed at once",
	"rightsErase":         "by law: what a person asks to have erased; the book of rights has it, and a signed receipt",
	"retentionCommand":    "erases what is over; its receipts have it",
	"analystServeCommand": "each grant has its purpose; the server does not see the registry, and an ended purpose takes its grants back",
	"gateCommand":         "attacks what was released, for the office: it hands nothing out",
	"policyScan":          "a measure of safety: looks for what must not be in the lake, and shows no value",
	"reconcileCommand":    "compares sums and counts of the whole way, for the office",
	"lakeShowCommand":     "shows the manifest, and reads no row",
	"lakeViewsCommand":    "writes the names of files, and reads no row",
	"lakeVerifyCommand":   "compares hashes",
	"lakeCompactCommand":  "puts files together, and shows nothing",
	"lakeExpireCommand":   "removes what is old",
	"lakePullCommand":     "brings in what was pushed for a purpose, to where no registry may be",
	"linkWaiting":         "lists persons of the personal plane who are not linked yet",
	"keysInit":            "asks whether there is a lake, and reads no row",
}

// IC-9: every command that reads the lake names a purpose of the registry, or
// stands on the list with its reason.
func TestPurposes_NoCommandReadsTheLakeWithout(t *testing.T) {
	reads := readers(t)
	for _, maker := range reads {
		if _, listed := withoutPurpose[maker]; !listed && withPurpose[maker] == nil {
			t.Errorf("%s makes a command that reads the lake: let it ask for a purpose, or say why it does not", maker)
		}
	}
	for maker := range withoutPurpose {
		if !slices.Contains(reads, maker) {
			t.Errorf("%s does not read the lake, and needs no reason", maker)
		}
	}
	root := newRoot(&program{getenv: func(string) string { return "" }})
	takes := map[string]bool{"recipient add": true} // a contract carries one
	for maker, paths := range withPurpose {
		if !slices.Contains(reads, maker) {
			t.Errorf("%s does not read the lake any more", maker)
		}
		for _, path := range paths {
			takes[path] = true
		}
	}
	report, _, err := root.Find([]string{"report"}) // one function makes them all
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Commands() {
		takes["report "+c.Name()] = true
	}
	for path := range takes {
		c, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 || c.Flags().Lookup("purpose") == nil {
			t.Errorf("meguri %s takes no --purpose: %v", path, err)
		}
	}
}

// readers are the functions that make commands whose work reaches the lake or the
// gate, through whatever functions of this program.
func readers(t *testing.T) (makers []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	calls, makes, reads := map[string][]string{}, map[string]bool{}, map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := f.Name.Name
			if f.Type.Results != nil && len(f.Type.Results.List) == 1 {
				p, ok := f.Type.Results.List[0].Type.(*ast.StarExpr)
				makes[name] = ok && isSelector(p.X, "cobra", "Command")
			}
			reads[name] = reads[name] || name == "lake" || name == "gate"
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if isSelector(n, "duck", "Open") || isSelector(n, "lake", "Open") || isSelector(n, "scan", "Folder") {
						reads[name] = true
					}
					if x, ok := n.X.(*ast.Ident); ok && slices.Contains([]string{"p", "a", "app"}, x.Name) {
						calls[name] = append(calls[name], n.Sel.Name)
					}
				case *ast.CallExpr:
					if x, ok := n.Fun.(*ast.Ident); ok {
						calls[name] = append(calls[name], x.Name)
					}
				}
				return true
			})
		}
	}
	for grown := true; grown; {
		grown = false
		for name, called := range calls {
			for _, other := range called {
				if reads[other] && !makes[other] && !reads[name] {
					reads[name], grown = true, true
				}
			}
		}
	}
	for name := range reads {
		if reads[name] && makes[name] {
			makers = append(makers, name)
		}
	}
	slices.Sort(makers)
	return makers
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg && s.Sel.Name == name
}
