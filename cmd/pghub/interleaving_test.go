package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
)

// TestMirrorEqualsGitHubAfterAnyInterleaving lets several clients write, commit, roll back and
// vanish, and a person edit on the web, while the syncer polls as fast as it can. When all is
// quiet the mirror must equal GitHub, and no issue may exist that nobody asked for.
func TestMirrorEqualsGitHubAfterAnyInterleaving(t *testing.T) {
	t.Parallel()
	const clients, steps = 4, 40
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx := testContext(t)
	sim := githubsimtest.Start(t, githubsim.Config{Seed: 5, Repos: 1, Issues: 20})
	url := embedpgtest.URL(t)
	p := startProcess(ctx, t, []string{
		"GITHUB_TOKEN=" + sim.Token(), "PGHUB_GITHUB_URL=" + sim.URL, "PGHUB_DATABASE_URL=" + url, "PGHUB_LISTEN=127.0.0.1:0",
		"PGHUB_HTTP=127.0.0.1:0", "PGHUB_WRITE_INTERVAL=0", "PGHUB_POLL_INTERVAL=1s",
	}, "serve")
	address := p.await(ctx, t, "proxy: listening on ")
	awaitReady(ctx, t, "http://"+p.await(ctx, t, "http: listening on "))
	direct, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	through := "postgres://" + direct.User + ":" + direct.Password + "@" + address + "/" + direct.Database
	observer, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer observer.Close(context.WithoutCancel(ctx))
	var repo int64
	var repoName string
	if err := observer.QueryRow(ctx, "SELECT id, full_name FROM github.repository").Scan(&repo, &repoName); err != nil {
		t.Fatal(err)
	}
	rows, _ := observer.Query(ctx, "SELECT number FROM github.issue ORDER BY number")
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}

	work, workCtx := errgroup.WithContext(ctx)
	for client := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		work.Go(func() error {
			return writeAtRandom(workCtx, random, through, client, steps, repo, numbers)
		})
	}
	work.Go(func() error {
		random := rand.New(rand.NewPCG(seed, 1000))
		for i := range steps {
			title := fmt.Sprintf("web %d", i)
			// An error means that a client has deleted the issue.
			_, _ = sim.EditIssue(repoName, numbers[random.IntN(len(numbers))], sim.Login(), githubsim.IssueEdit{Title: &title})
			var edited bool // a moment of the database's, for the clients to go on
			if err := observer.QueryRow(workCtx, "SELECT true FROM pg_sleep(0.02)").Scan(&edited); err != nil {
				return err
			}
		}
		return nil
	})
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second) // some polls, of one second each
	defer cancel()
	eventually(within, t, "the mirror equals GitHub and the ledger is closed", func() bool {
		var open int
		if err := observer.QueryRow(ctx, "SELECT count(*) FROM pghub.write WHERE closed_at IS NULL").Scan(&open); err != nil {
			t.Fatal(err)
		}
		return open == 0 && differences(ctx, t, observer, sim.Server, repo) == 0
	})
	t.Logf("%d issues created, %d changed, %d deleted by requests", sim.CountRequests("POST", "/repos/**/issues"), sim.CountRequests("PATCH", "**"), sim.CountRequests("POST", "/graphql"))
	var twice []string
	titles := map[string]int{}
	issues, err := sim.Issues(repoName)
	if err != nil {
		t.Fatal(err)
	}
	for _, issue := range issues {
		if titles[issue.Title]++; titles[issue.Title] == 2 && len(issue.Title) > 7 && issue.Title[:7] == "client " {
			twice = append(twice, issue.Title)
		}
	}
	if len(twice) > 0 {
		t.Errorf("created twice: %v", twice)
	}
}

// expected are the ways in which concurrent writers may rightly fail.
var expected = []string{"40001", "40P01", "55P03", "42704", "55000"}

func writeAtRandom(ctx context.Context, random *rand.Rand, url string, client, steps int, repo int64, numbers []int64) error {
	var conn *pgx.Conn
	connect := func() (err error) {
		if conn, err = pgx.Connect(ctx, url); err == nil {
			_, err = conn.Exec(ctx, "SET lock_timeout = '2s'")
		}
		return err
	}
	if err := connect(); err != nil {
		return err
	}
	defer func() { conn.Close(context.WithoutCancel(ctx)) }()
	for step := range steps {
		number := numbers[random.IntN(len(numbers))]
		title := fmt.Sprintf("client %d step %d", client, step)
		var sql string
		switch random.IntN(10) {
		case 0, 1, 2:
			sql = fmt.Sprintf("INSERT INTO github.issue (repository_id, title) VALUES (%d, '%s')", repo, title)
		case 3:
			sql = fmt.Sprintf("DELETE FROM github.issue WHERE repository_id = %d AND number = %d", repo, number)
		case 4:
			sql = fmt.Sprintf("UPDATE github.issue SET state = CASE state WHEN 'open' THEN 'closed' ELSE 'open' END WHERE repository_id = %d AND number = %d", repo, number)
		default:
			sql = fmt.Sprintf("UPDATE github.issue SET body = '%s' WHERE repository_id = %d AND number IN (%d, %d)", title, repo, number, numbers[0])
		}
		end := ""
		if random.IntN(2) == 0 {
			end = [...]string{"COMMIT", "ROLLBACK", "vanish"}[random.IntN(3)]
			if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, sql)
		var refused *pgconn.PgError
		if err != nil && (!errors.As(err, &refused) || !slices.Contains(expected, refused.Code)) {
			return fmt.Errorf("%s: %w", sql, err)
		}
		switch end {
		case "":
		case "vanish":
			conn.PgConn().Conn().Close()
			if err := connect(); err != nil {
				return err
			}
		default:
			if _, err := conn.Exec(ctx, end); err != nil {
				return fmt.Errorf("%s: %w", end, err)
			}
		}
	}
	return nil
}
