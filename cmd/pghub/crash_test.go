package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
	"github.com/pghub/pghub/schema"
)

// TestKilledBeforeCommit kills pghub with SIGKILL when GitHub has acted and the client's
// transaction has not committed. After a restart, the mirror has what GitHub has within 5 s.
func TestKilledBeforeCommit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		// write runs on the client's session; it returns when GitHub has acted and pghub may be killed.
		write func(ctx context.Context, t *testing.T, conn *pgx.Conn, sim *githubsim.Server, repo, number int64)
	}{
		{"answered, transaction open", func(ctx context.Context, t *testing.T, conn *pgx.Conn, _ *githubsim.Server, repo, number int64) {
			tx, err := conn.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, sql := range []string{
				fmt.Sprintf("INSERT INTO github.issue (repository_id, title) VALUES (%d, 'survives')", repo),
				fmt.Sprintf("UPDATE github.issue SET title = 'changed' WHERE repository_id = %d AND number = %d", repo, number),
			} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					t.Fatalf("%s: %v", sql, err)
				}
			}
		}},
		{"created, answer not arrived", func(ctx context.Context, t *testing.T, conn *pgx.Conn, sim *githubsim.Server, repo, _ int64) {
			sim.AddFault(githubsim.Fault{Method: "POST", Path: "/repos/*/*/issues", Apply: true, Delay: time.Minute, Count: 1, Status: 502})
			go conn.Exec(context.WithoutCancel(ctx), fmt.Sprintf("INSERT INTO github.issue (repository_id, title, body) VALUES (%d, 'survives', 'unanswered')", repo))
			eventually(ctx, t, "GitHub has the issue", func() bool { return hasTitle(t, sim, "survives") })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			running := githubsimtest.Start(t, githubsim.Config{Seed: 11, Repos: 1, Issues: 12})
			sim, github, token := running.Server, running.URL, running.Token()
			url := embedpgtest.URL(t)
			environ := []string{
				"GITHUB_TOKEN=" + token, "PGHUB_GITHUB_URL=" + github, "PGHUB_DATABASE_URL=" + url,
				"PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP=127.0.0.1:0", "PGHUB_WRITE_INTERVAL=0",
				"PGHUB_POLL_INTERVAL=1h", // what appears comes from the repair, not from a poll
			}
			p := startProcess(ctx, t, environ, "serve")
			address := p.await(ctx, t, "proxy: listening on ")
			awaitReady(ctx, t, "http://"+p.await(ctx, t, "http: listening on "))
			direct, err := pgx.ParseConfig(url)
			if err != nil {
				t.Fatal(err)
			}
			client, err := pgx.Connect(ctx, "postgres://"+direct.User+":"+direct.Password+"@"+address+"/"+direct.Database)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close(context.WithoutCancel(ctx))
			observer, err := pgx.Connect(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			defer observer.Close(context.WithoutCancel(ctx))
			var repo, number int64
			if err := observer.QueryRow(ctx, "SELECT repository_id, min(number) FROM github.issue WHERE state = 'open' GROUP BY 1").Scan(&repo, &number); err != nil {
				t.Fatal(err)
			}

			tc.write(ctx, t, client, sim, repo, number)
			if !endedBySignal(p.end(t, os.Kill)) {
				t.Fatal("pghub was not killed")
			}
			if n := differences(ctx, t, observer, sim, repo); n == 0 {
				t.Fatal("nothing was left to repair: the test kills at the wrong moment")
			}

			sim.RemoveFault(0)
			startProcess(ctx, t, environ, "serve").await(ctx, t, "proxy: listening on ")
			within, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			eventually(within, t, "the mirror equals GitHub and the ledger is closed", func() bool {
				var open int
				if err := observer.QueryRow(ctx, "SELECT count(*) FROM pghub.write WHERE closed_at IS NULL").Scan(&open); err != nil {
					t.Fatal(err)
				}
				return open == 0 && differences(ctx, t, observer, sim, repo) == 0
			})
		})
	}
}

func hasTitle(t *testing.T, sim *githubsim.Server, title string) bool {
	t.Helper()
	for _, repository := range sim.Repositories() {
		issues, err := sim.Issues(repository.FullName)
		if err != nil {
			t.Fatal(err)
		}
		for _, issue := range issues {
			if issue.Title == title {
				return true
			}
		}
	}
	return false
}

// differences counts the issues that the mirror lacks, has too many, or holds otherwise than the simulated GitHub.
func differences(ctx context.Context, t *testing.T, conn *pgx.Conn, sim *githubsim.Server, repo int64) (n int) {
	t.Helper()
	for _, repository := range sim.Repositories() {
		if repository.ID != repo {
			continue
		}
		issues, err := sim.Issues(repository.FullName)
		if err != nil {
			t.Fatal(err)
		}
		mirrored := 0
		for _, issue := range issues {
			raw, err := sim.RawIssue(repository.FullName, issue.Number)
			if err != nil {
				t.Fatal(err)
			}
			row, err := schema.Issue.Decode(raw, schema.Scope{RepositoryID: repo})
			if err != nil {
				continue // a pull request
			}
			want, err := row.JSON()
			if err != nil {
				t.Fatal(err)
			}
			mirrored++
			var same bool
			err = conn.QueryRow(ctx, `SELECT coalesce((SELECT to_jsonb(i) - 'synced_at' - 'payload' =
				to_jsonb(jsonb_populate_record(i, $2)) - 'synced_at' - 'payload' FROM github.issue i WHERE i.id = $1), false)`, row.ID(), json.RawMessage(want)).Scan(&same)
			if err != nil {
				t.Fatal(err)
			}
			if !same {
				n++
			}
		}
		var stored int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM github.issue WHERE repository_id = $1", repo).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		n += max(stored-mirrored, 0)
	}
	return n
}
