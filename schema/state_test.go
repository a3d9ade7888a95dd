package schema

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
)

func TestMigrations(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := embedpgtest.URL(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	pending, unknown, err := Migrations(ctx, conn)
	if err != nil || len(pending) < 5 || pending[0] != "0001_tables" || len(unknown) != 0 {
		t.Errorf("of an empty database: pending %q, unknown %q, %v", pending, unknown, err)
	}
	if err := Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	pending, unknown, err = Migrations(ctx, conn)
	if err != nil || len(pending)+len(unknown) != 0 {
		t.Errorf("after Migrate: pending %q, unknown %q, %v", pending, unknown, err)
	}
	if _, err := conn.Exec(ctx, `INSERT INTO pghub.goose_db_version (version_id, is_applied) VALUES (9999, true); DELETE FROM pghub.river_migration WHERE version = 1`); err != nil {
		t.Fatal(err)
	}
	pending, unknown, err = Migrations(ctx, conn)
	if err != nil || !slices.Equal(pending, []string{"job queue 1"}) || !slices.Equal(unknown, []string{"migration 9999"}) {
		t.Errorf("of a changed database: pending %q, unknown %q, %v", pending, unknown, err)
	}
}
