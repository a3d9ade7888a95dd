package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
)

// TestWebhooksReachServe: what changes at GitHub shows in the mirror without a poll, kill -9 in the middle of it included; the
// commands tell what became of the deliveries.
func TestWebhooksReachServe(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	const secret = "It's a Secret to Everybody"
	running := githubsimtest.Start(t, githubsim.Config{Seed: 17, Repos: 1, Issues: 12})
	sim := running.Server
	url := embedpgtest.URL(t)
	environ := []string{
		"GITHUB_TOKEN=" + running.Token(), "PGHUB_GITHUB_URL=" + running.URL, "PGHUB_DATABASE_URL=" + url,
		"PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP=127.0.0.1:0", "PGHUB_POLL_INTERVAL=1h", "PGHUB_WEBHOOK_SECRET=" + secret,
	}
	start := func() *process {
		p := startProcess(ctx, t, environ, "serve")
		web := "http://" + p.await(ctx, t, "http: listening on ")
		awaitReady(ctx, t, web)
		sim.SetWebhook(web+"/github/webhook", secret)
		return p
	}
	p := start()
	observer, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer observer.Close(context.WithoutCancel(ctx))
	repo := sim.Repositories()[0]
	open := func(title string) {
		t.Helper()
		if _, err := sim.CreateIssue(repo.FullName, "", githubsim.IssueEdit{Title: &title}); err != nil {
			t.Fatal(err)
		}
	}
	mirrored := func(title string) {
		t.Helper()
		eventually(ctx, t, title+" is in the mirror", func() bool {
			var n int
			if err := observer.QueryRow(ctx, "SELECT count(*) FROM github.issue WHERE title = $1", title).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
	}
	status := func(guid string) (status string, attempts int) {
		t.Helper()
		err := observer.QueryRow(ctx, "SELECT status, attempts FROM pghub.delivery WHERE guid = $1", guid).Scan(&status, &attempts)
		if err != nil && err != pgx.ErrNoRows {
			t.Fatal(err)
		}
		return status, attempts
	}
	open("by webhook")
	mirrored("by webhook")

	// Somebody holds the repository's turn, so that the next delivery is under way when pghub is killed.
	turn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Close(context.WithoutCancel(ctx))
	hold, err := turn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(0x70676875)<<32^repo.ID); err != nil {
		t.Fatal(err)
	}
	open("survives")
	list := sim.Deliveries()
	last := list[len(list)-1]
	eventually(ctx, t, "the delivery is being processed", func() bool { s, _ := status(last.ID); return s == "processing" })
	if !endedBySignal(p.end(t, os.Kill)) {
		t.Fatal("pghub was not killed")
	}
	if err := hold.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	p = start()
	mirrored("survives")
	if s, attempts := status(last.ID); s != "processed" || attempts != 2 {
		t.Errorf("%s after %d tries", s, attempts)
	}

	// Signed with another secret: refused, not stored.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+httpAddress(t, p.output())+"/github/webhook", bytes.NewReader(last.Payload))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "X-GitHub-Event": "issues", "X-GitHub-Delivery": "forged",
		"X-Hub-Signature-256": githubsim.Signature("another", last.Payload)} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if s, _ := status("forged"); resp.StatusCode != 401 || s != "" {
		t.Errorf("forged: %s, stored as %q", resp.Status, s)
	}

	run := func(code int, args ...string) string {
		t.Helper()
		got, out, errOut := runProgram(t, environ, append([]string{"deliveries"}, args...)...)
		if got != code {
			t.Errorf("deliveries %q ends with %d, want %d: %s", args, got, code, errOut)
		}
		return out + errOut
	}
	if text := run(exitOK, "list"); strings.Count(text, "\n") != len(sim.Deliveries())+1 || !strings.Contains(text, last.ID) || !strings.Contains(text, "issues.opened") {
		t.Errorf("list:\n%s", text)
	}
	if text := run(exitOK, "list", "--status=processed", "--limit=1"); strings.Count(text, "\n") != 2 || !strings.Contains(text, last.ID) {
		t.Errorf("list of one:\n%s", text)
	}
	if text := run(exitOK, "list", "--status=errored"); text != "no deliveries\n" {
		t.Errorf("list of errored:\n%s", text)
	}
	if text := run(exitOK, "show", last.ID); !strings.Contains(text, "survives") || !strings.Contains(text, "processed") || !strings.Contains(text, fmt.Sprint(repo.ID)) {
		t.Errorf("show:\n%s", text)
	}
	if text := run(exitOK, "retry", last.ID); !strings.HasPrefix(text, "1 delivery queued") {
		t.Errorf("retry: %s", text)
	}
	eventually(ctx, t, "it was processed again", func() bool { s, n := status(last.ID); return s == "processed" && n == 1 })
	if text := run(exitOK, "retry", "--errored"); !strings.HasPrefix(text, "0 deliveries queued") {
		t.Errorf("retry of errored: %s", text)
	}
	if text := run(exitFailed, "show", "unknown"); !strings.Contains(text, "no such delivery") {
		t.Errorf("show of an unknown one: %s", text)
	}
	for _, args := range [][]string{{"list", "x"}, {"list", "--status=done"}, {"list", "--limit=0"}, {"show"}, {"retry"}, {"retry", "x", "--errored"}, {"drop"}} {
		if text := run(exitUsage, args...); strings.Count(text, "\n") != 1 {
			t.Errorf("%q: %s", args, text)
		}
	}
	if said := p.stderr.String(); strings.Contains(said, secret) || strings.Contains(said, "survives") {
		t.Errorf("a secret or a payload is in the log:\n%s", said)
	}
}

// httpAddress is the HTTP address that serve printed.
func httpAddress(t *testing.T, output string) string {
	t.Helper()
	_, rest, found := strings.Cut(output, "http: listening on ")
	if !found {
		t.Fatal("no HTTP address")
	}
	address, _, _ := strings.Cut(rest, "\n")
	return address
}

// TestServeWithoutWebhooks: no secret, no endpoint; an empty one is a mistake.
func TestServeWithoutWebhooks(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	running := githubsimtest.Start(t, githubsim.Config{Seed: 19, Repos: 1, Issues: 4})
	environ := []string{
		"GITHUB_TOKEN=" + running.Token(), "PGHUB_GITHUB_URL=" + running.URL, "PGHUB_DATABASE_URL=" + embedpgtest.URL(t),
		"PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP=127.0.0.1:0",
	}
	code, _, text := runProgram(t, append(environ, "PGHUB_WEBHOOK_SECRET="), "serve")
	if code != exitUsage || strings.Count(text, "\n") != 1 || !strings.Contains(text, "webhook-secret") {
		t.Errorf("with an empty secret: exit code %d, %s", code, text)
	}
	p := startProcess(ctx, t, environ, "serve")
	web := "http://" + p.await(ctx, t, "http: listening on ")
	resp, err := http.Post(web+"/github/webhook", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("without a secret: %s", resp.Status)
	}
	if n := strings.Count(p.stderr.String(), "no webhook secret"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, p.stderr.String())
	}
}
