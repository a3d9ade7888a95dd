package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/schema"
)

//go:generate go test -run ^TestReferenceIsCurrent$ -args -update

var update = flag.Bool("update", false, "write the generated parts of docs/reference.md anew")

// TestReferenceIsCurrent compares the generated parts of docs/reference.md with the settings and with a migrated database.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "reference.md")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	url := embedpgtest.URL(t)
	if err := schema.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	after := string(before)
	for name, text := range map[string]string{
		"settings":         settingsTable(),
		"github relations": relations(ctx, t, conn, schema.Name),
		"pghub relations":  relations(ctx, t, conn, schema.Internal),
	} {
		after = replacePart(t, after, name, text)
	}
	if after == string(before) {
		return
	}
	if !*update {
		t.Fatal("docs/reference.md is not current: run go generate ./cmd/pghub")
	}
	if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replacePart replaces what stands between the two marks of a generated part.
func replacePart(t *testing.T, text, name, part string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end of generated: "+name+" -->\n"
	head, rest, ok := strings.Cut(text, begin)
	if !ok {
		t.Fatalf("docs/reference.md has no mark %q", begin)
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("docs/reference.md has no mark %q", end)
	}
	return head + begin + part + end + tail
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("\n| flag and YAML key | environment | default | what |\n|---|---|---|---|\n")
	for _, s := range serveSettings {
		fallback := "none"
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.name, s.env, fallback, cell(strings.ReplaceAll(s.usage, "`", "")))
	}
	return b.String() + "\n"
}

// relations describes the tables and views of a schema as the database itself does: by its comments.
func relations(ctx context.Context, t *testing.T, conn *pgx.Conn, namespace string) string {
	t.Helper()
	rows, err := conn.Query(ctx, `
SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, coalesce(obj_description(c.oid, 'pg_class'), ''),
       a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(col_description(c.oid, a.attnum), ''),
       coalesce((SELECT string_agg(format('%s.%s', f.relname, fa.attname), ', ')
                   FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid
                   JOIN pg_attribute fa ON fa.attrelid = f.oid AND fa.attnum = k.confkey[1]
                  WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum]), '')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
   AND c.relname NOT LIKE 'river%' AND c.relname NOT LIKE 'goose%'
 ORDER BY c.relkind = 'v', c.relname, a.attnum`, namespace)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	last := ""
	var relation, kind, comment, column, typ, columnComment, references string
	var notNull bool
	_, err = pgx.ForEachRow(rows, []any{&relation, &kind, &comment, &column, &typ, &notNull, &columnComment, &references}, func() error {
		if relation != last {
			last = relation
			fmt.Fprintf(&b, "\n### %s `%s.%s`\n\n%s\n\n| column | type | what |\n|---|---|---|\n", kind, namespace, relation, comment)
			if comment == "" {
				t.Errorf("%s.%s has no comment", namespace, relation)
			}
		}
		var notes []string
		if notNull {
			notes = append(notes, "not null")
		}
		if c := describedColumn(namespace, relation, column); c != nil && c.Writable {
			notes = append(notes, "**writable**")
		} else if namespace == schema.Name && relation == "issue" && column == "repository_id" {
			notes = append(notes, "**writable on INSERT**")
		}
		if references != "" {
			notes = append(notes, "references `"+references+"`")
		}
		what := cell(columnComment)
		if len(notes) > 0 {
			what += " (" + strings.Join(notes, ", ") + ")"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", column, strings.Replace(typ, "timestamp with time zone", "timestamptz", 1), what)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

func describedColumn(namespace, relation, column string) *schema.Column {
	table := schema.ByName(relation)
	if namespace != schema.Name || table == nil {
		return nil
	}
	for i := range table.Columns {
		if table.Columns[i].Name == column {
			return &table.Columns[i]
		}
	}
	return nil
}

// cell makes a text fit for a Markdown table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
