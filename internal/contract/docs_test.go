package contract_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/contract"
)

//go:generate go test -run ^TestDocumentIsCurrent$ -args -update

var update = flag.Bool("update", false, "write the generated parts of docs/github-contract.md anew")

// TestDocumentIsCurrent compares the generated parts of docs/github-contract.md
// with the pinned versions and the table of exceptions.
func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "github-contract.md")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := string(before)
	for name, text := range map[string]string{"versions": versions(t), "exceptions": exceptions()} {
		start, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		head, rest, found := strings.Cut(after, start)
		_, tail, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s has no part between %q and %q", path, start, end)
		}
		after = head + start + text + end + tail
	}
	if after == string(before) {
		return
	}
	if !*update {
		t.Fatalf("%s is not current: run go generate ./internal/contract", path)
	}
	if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func versions(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| npm package | version | what is read of it |\n|---|---|---|\n")
	for _, f := range contract.Files {
		pin, err := contract.Pinned(f.Package)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", f.Package, pin.Version, strings.TrimPrefix(f.Member, "package/"))
	}
	return b.String()
}

func exceptions() string {
	var b strings.Builder
	b.WriteString("| what GitHub does | excused difference | source |\n|---|---|---|\n")
	for _, e := range contract.Exceptions {
		excused := "none: no description could hold it"
		if e.Kind != "" {
			excused = fmt.Sprintf("%s: `%s`", e.Kind, e.Subject)
			if e.Operation != "*" {
				excused += fmt.Sprintf(" of `%s`", e.Operation)
			}
		}
		source := e.Source
		if strings.HasPrefix(source, "https://") {
			source = "<" + source + ">"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.What, excused, source)
	}
	return b.String()
}

// TestExceptionsAreWhole: each says what GitHub does and who says so.
func TestExceptionsAreWhole(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, e := range contract.Exceptions {
		if e.Name == "" || names[e.Name] || !strings.HasSuffix(e.What, ".") || e.Source == "" || (e.Kind == "") != (e.Subject == "") {
			t.Errorf("incomplete, or twice: %+v", e)
		}
		names[e.Name] = true
	}
}
