package schema_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/schema"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

// testContext ends with the test, and in any case after two minutes.
func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// migrated gives a pool on a fresh database with all migrations, and the superuser's URL.
func migrated(t testing.TB) (context.Context, *pgxpool.Pool, string) {
	t.Helper()
	ctx, url := testContext(t), embedpgtest.URL(t)
	if err := schema.Migrate(ctx, url); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	pool, err := schema.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(pool.Close)
	return ctx, pool, url
}

// connect opens one connection as the user of the URL.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(testContext(t), url)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
