package doctor

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/schema"
)

func TestDatabase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, damage string
		level        Level
		what, text   string
	}{
		{"sound", ``, OK, "triggers", "guard the mirror"},
		{"no clients", ``, Warn, "privileges", "no login role but superusers"},
		{"trigger gone", `DROP TRIGGER pghub_write_through ON github.issue`, Fail, "triggers", "CREATE OR REPLACE TRIGGER"},
		{"trigger not always", `ALTER TABLE github.label ENABLE TRIGGER pghub_refuse`, Fail, "triggers", `ALTER TABLE "github"."label" ENABLE ALWAYS TRIGGER "pghub_refuse"`},
		{"trigger disabled", `ALTER TABLE github.issue DISABLE TRIGGER pghub_refuse_truncate`, Fail, "triggers", "ENABLE ALWAYS"},
		{"trigger of a view gone", `DROP TRIGGER pghub_write ON github.issue_label`, Fail, "triggers", "pghub_write on github.issue_label is gone"},
		{"another function", `
CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE OR REPLACE TRIGGER pghub_write_through BEFORE INSERT OR UPDATE OR DELETE ON github.issue FOR EACH ROW EXECUTE FUNCTION public.nothing();
ALTER TABLE github.issue ENABLE ALWAYS TRIGGER pghub_write_through`, Fail, "triggers", "not what the migrations made"},
		{"right taken away", `REVOKE UPDATE ON github.issue FROM pghub_writer`, Fail, "privileges", "pghub_writer has no UPDATE on github.issue"},
		{"owner changed", `ALTER TABLE github.milestone OWNER TO CURRENT_USER`, Fail, "privileges", "ALTER TABLE github.milestone OWNER TO pghub_sync"},
		{"behind", `DELETE FROM pghub.goose_db_version WHERE version_id = 4`, Fail, "migrations", "0004_sync_state"},
		{"ahead", `INSERT INTO pghub.goose_db_version (version_id, is_applied) VALUES (9999, true)`, Fail, "migrations", "newer than this program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			url := embedpgtest.URL(t)
			if err := schema.Migrate(ctx, url); err != nil {
				t.Fatal(err)
			}
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(ctx)
			if _, err := conn.Exec(ctx, tt.damage); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			r := NewReport(&out)
			Database(ctx, url, r)
			if !r.has(tt.level, tt.what, tt.text) || (r.Count(Fail) > 0) != (tt.level == Fail) {
				t.Errorf("the findings are\n%s", out.String())
			}
			if tt.level != Fail || tt.what != "triggers" {
				return
			}
			for _, f := range r.Findings() {
				if _, sql, ok := strings.Cut(f.Fix, "superuser: "); ok {
					if _, err := conn.Exec(ctx, sql); err != nil {
						t.Fatalf("the fix %s: %v", sql, err)
					}
				}
			}
			r = NewReport(&out)
			if Database(ctx, url, r); !r.has(OK, "triggers", "") {
				t.Errorf("the fix did not help:\n%s", out.String())
			}
		})
	}
}

func TestDatabaseOutOfReach(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	host, _ := embedpgtest.TCPAddr(t)
	empty := embedpgtest.URL(t)
	for name, tt := range map[string]struct{ url, what, text string }{
		"no URL":         {"postgres://user:secret@host:port:9/", "database", "not a Postgres connection URL"},
		"nobody there":   {"postgres://user:secret@" + host + ":1/pghub?sslmode=disable", "database", "start the server"},
		"no database":    {strings.Replace(empty, pgxDatabase(t, empty), "not_there", 1), "database", "create the database"},
		"never migrated": {empty, "", "pghub migrate"},
	} {
		var out strings.Builder
		r := NewReport(&out)
		Database(ctx, tt.url, r)
		found := false
		for _, f := range r.Findings() {
			found = found || f.Level == Fail && (tt.what == "" || f.What == tt.what) && (strings.Contains(f.Text, tt.text) || strings.Contains(f.Fix, tt.text))
		}
		if !found || strings.Contains(out.String(), "secret") {
			t.Errorf("%s: the findings are\n%s", name, out.String())
		}
	}
}

func pgxDatabase(t *testing.T, url string) string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return config.Database
}
