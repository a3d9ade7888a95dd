package embedpgtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

func TestURL(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(testing.TB) string{"socket": embedpgtest.URL, "loopback": embedpgtest.TCPURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := connect(t), connect(t)
			if first == second {
				t.Fatal("two tests get the same database")
			}
			conn, err := pgx.Connect(context.Background(), first)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			var encoding, walLevel string
			var tables int
			if err := conn.QueryRow(context.Background(), `
				SELECT current_setting('server_encoding'), current_setting('wal_level'),
				       (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)`).Scan(&encoding, &walLevel, &tables); err != nil {
				t.Fatal(err)
			}
			if encoding != "UTF8" || walLevel != "logical" || tables != 0 {
				t.Errorf("encoding %q, wal_level %q, %d tables; want UTF8, logical, 0", encoding, walLevel, tables)
			}
		})
	}
}
