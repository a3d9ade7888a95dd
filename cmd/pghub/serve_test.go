package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
)

// startGitHub runs pghub simulate-github and returns its URL and token.
func startGitHub(t *testing.T, args ...string) (p *process, url, token string) {
	t.Helper()
	ctx := testContext(t)
	// Subtests may have to wait for their turn: the process ends with the test, not with a time.
	p = startProcess(context.Background(), t, nil, append([]string{"simulate-github", "--listen=127.0.0.1:0", "--repos=1", "--issues=12"}, args...)...)
	url = p.await(ctx, t, "simulated GitHub: ")
	token, _, _ = strings.Cut(p.await(ctx, t, "token: "), " ")
	return p, url, token
}

// connectAsApp connects through a proxy to an embedded database, as its output says one can.
func connectAsApp(t *testing.T, address, dataDir string) *pgx.Conn {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(dataDir, appPasswordFile))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(testContext(t), appURL(address, strings.TrimSpace(string(password))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(testContext(t)) })
	return conn
}

func awaitReady(ctx context.Context, t *testing.T, web string) {
	t.Helper()
	eventually(ctx, t, "the first backfill is complete", func() bool {
		resp, err := http.Get(web + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func runProgram(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := program(testContext(t), t, environ, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run() // the exit code tells
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// TestServeEmbedded runs serve with its own database over a restart, and the other commands beside it.
func TestServeEmbedded(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	_, github, token := startGitHub(t)
	dir := filepath.Join(openTempDir(t), "data")
	environ := []string{"GITHUB_TOKEN=" + token, "PGHUB_GITHUB_URL=" + github, "PGHUB_DATA_DIR=" + dir, "PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP=127.0.0.1:0", "PGHUB_WRITE_INTERVAL=0"}

	if code, _, text := runProgram(t, environ, "status"); code != exitFailed || !strings.Contains(text, dir) {
		t.Errorf("status without a database: exit code %d, %q", code, text)
	}

	p := startProcess(ctx, t, environ, "serve")
	address := p.await(ctx, t, "proxy: listening on ")
	web := "http://" + p.await(ctx, t, "http: listening on ")
	if line := p.await(ctx, t, "connect as role "); !strings.Contains(line, filepath.Join(dir, appPasswordFile)) {
		t.Errorf("where the password is: %q", line)
	}
	awaitReady(ctx, t, web)
	conn := connectAsApp(t, address, dir)
	var number int
	if err := conn.QueryRow(ctx, "INSERT INTO issue (repository_id, title) SELECT id, 'kept' FROM repository RETURNING number").Scan(&number); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE public.issue (mine text)"); err != nil {
		t.Errorf("a table of the user's own: %v", err)
	}

	if code, _, text := runProgram(t, environ, "serve"); code != exitFailed || strings.Count(text, "\n") != 1 || !strings.Contains(text, "in use") || !strings.Contains(text, dir) {
		t.Errorf("a second serve: exit code %d, %q; want one line about the directory", code, text)
	}
	issueLine := regexp.MustCompile(`(?m)^\S+/\S+ +issue +live +[1-9]`)
	if code, out, text := runProgram(t, environ, "status"); code != exitOK || !issueLine.MatchString(out) {
		t.Errorf("status beside a running serve: exit code %d, %q\n%s", code, text, out)
	}
	if code, out, text := runProgram(t, environ, "migrate"); code != exitOK {
		t.Errorf("migrate beside a running serve: exit code %d, %q%q", code, out, text)
	}

	// A proxy alone, without GitHub: reads pass, ordinary writes pass, writes to the mirror do not.
	alone := startProcess(ctx, t, []string{"PGHUB_DATA_DIR=" + dir}, "proxy", "--listen=127.0.0.1:0", "--http=127.0.0.1:0")
	aloneAddress := alone.await(ctx, t, "proxy: listening on ")
	aloneWeb := "http://" + alone.await(ctx, t, "http: listening on ")
	reader := connectAsApp(t, aloneAddress, dir)
	var title string
	if err := reader.QueryRow(ctx, "SELECT title FROM issue WHERE number = $1", number).Scan(&title); err != nil || title != "kept" {
		t.Errorf("read %q, %v", title, err)
	}
	if _, err := reader.Exec(ctx, "INSERT INTO public.issue VALUES ('a')"); err != nil {
		t.Errorf("an ordinary write: %v", err)
	}
	_, err := reader.Exec(ctx, "UPDATE issue SET title = 'no' WHERE number = $1", number)
	if refused, ok := err.(*pgconn.PgError); !ok || refused.Code != "55000" {
		t.Errorf("a write to the mirror without GitHub gives %v, want SQLSTATE 55000", err)
	}
	var health struct{ Status string }
	if code := getJSON(t, aloneWeb+"/readyz", "", &health); code != 200 || health.Status != "ok" {
		t.Errorf("/readyz of the proxy alone: %d %q", code, health.Status)
	}
	reader.Close(ctx)
	if state := alone.end(t, syscall.SIGTERM); state.ExitCode() != exitOK {
		t.Errorf("the proxy ended with %v", state)
	}

	conn.Close(ctx)
	if state := p.end(t, syscall.SIGTERM); state.ExitCode() != exitOK {
		t.Errorf("serve ended with %v", state)
	}
	password, err := os.ReadFile(filepath.Join(dir, appPasswordFile))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, appPasswordFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password file: %v, %v", info.Mode(), err)
	}
	for _, secret := range []string{strings.TrimSpace(string(password)), token} {
		if strings.Contains(p.output()+p.stderr.String(), secret) {
			t.Errorf("a secret is in the output")
		}
	}

	if code, out, text := runProgram(t, environ, "status"); code != exitOK || !issueLine.MatchString(out) {
		t.Errorf("status of a stopped serve: exit code %d, %q\n%s", code, text, out)
	}
	again := startProcess(ctx, t, environ, "serve")
	conn = connectAsApp(t, again.await(ctx, t, "proxy: listening on "), dir)
	if err := conn.QueryRow(ctx, "SELECT title FROM issue WHERE number = $1", number).Scan(&title); err != nil || title != "kept" {
		t.Errorf("after a restart: %q, %v", title, err)
	}
	conn.Close(ctx)
	if state := again.end(t, os.Interrupt); state.ExitCode() != exitOK {
		t.Errorf("serve ended with %v", state)
	}
}

// TestServeOwnDatabase runs serve against a server of the user's own, configured by a file.
func TestServeOwnDatabase(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	_, github, token := startGitHub(t)
	url := embedpgtest.URL(t)
	config := writeConfig(t, "listen: 127.0.0.1:0\nhttp: 127.0.0.1:0\ngithub-url: "+github+"\ndatabase-url: "+url+"\npoll-interval: 1h\n")
	p := startProcess(ctx, t, []string{"GITHUB_TOKEN=" + token}, "serve", "--config="+config)
	proxyAddress := p.await(ctx, t, "proxy: listening on ")
	web := "http://" + p.await(ctx, t, "http: listening on ")
	awaitReady(ctx, t, web)
	// Any role of that server may come in by the proxy; here the superuser.
	direct, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, "postgres://"+direct.User+":"+direct.Password+"@"+proxyAddress+"/"+direct.Database)
	if err != nil {
		t.Fatal(err)
	}
	var issues int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM github.issue").Scan(&issues); err != nil || issues == 0 {
		t.Errorf("%d issues, %v", issues, err)
	}
	conn.Close(ctx)
	if state := p.end(t, syscall.SIGTERM); state.ExitCode() != exitOK {
		t.Errorf("ended with %v", state)
	}
	if out := p.output() + p.stderr.String(); strings.Contains(out, direct.Password) || strings.Contains(out, token) {
		t.Error("a secret is in the output")
	}
}

func TestServeFailures(t *testing.T) {
	t.Parallel()
	_, github, token := startGitHub(t)
	for _, test := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"token that GitHub does not know", []string{"GITHUB_TOKEN=ghp_wrong"}, "does not accept the token"},
		{"database that is not there", []string{"GITHUB_TOKEN=" + token, "PGHUB_DATABASE_URL=postgres://u:s3cret@127.0.0.1:1/db"}, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(openTempDir(t), "data")
			environ := append([]string{"PGHUB_GITHUB_URL=" + github, "PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP=127.0.0.1:0", "PGHUB_DATA_DIR=" + dir}, test.environ...)
			code, _, text := runProgram(t, environ, "serve")
			if code != exitFailed || !strings.Contains(text, test.want) {
				t.Errorf("exit code %d, %q", code, text)
			}
			if strings.Contains(text, "s3cret") || strings.Contains(text, "ghp_wrong") {
				t.Errorf("a secret is in %q", text)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the data directory was made")
			}
		})
	}
}

// TestSecondSignal: a write that GitHub is working on keeps the orderly end waiting; a second signal ends the program at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	_, github, token := startGitHub(t)
	url := embedpgtest.URL(t)
	environ := []string{"GITHUB_TOKEN=" + token, "PGHUB_GITHUB_URL=" + github, "PGHUB_DATABASE_URL=" + url, "PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP=127.0.0.1:0"}
	p := startProcess(ctx, t, environ, "serve")
	address := p.await(ctx, t, "proxy: listening on ")
	awaitReady(ctx, t, "http://"+p.await(ctx, t, "http: listening on "))

	fault, err := http.Post(github+"_sim/faults", "application/json", strings.NewReader(`{"method": "PATCH", "delay_ms": 60000}`))
	if err != nil {
		t.Fatal(err)
	}
	fault.Body.Close()
	if fault.StatusCode >= 300 {
		t.Fatalf("setting a fault: status %d", fault.StatusCode)
	}
	direct, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, "postgres://"+direct.User+":"+direct.Password+"@"+address+"/"+direct.Database)
	if err != nil {
		t.Fatal(err)
	}
	updated := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, "UPDATE github.issue SET title = 'late' WHERE id = (SELECT min(id) FROM github.issue)")
		updated <- err
	}()
	eventually(ctx, t, "the write has arrived at GitHub", func() bool {
		resp, err := http.Get(github + "_sim/faults")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body)
		return strings.Contains(strings.ReplaceAll(body.String(), " ", ""), `"hits":1`)
	})
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "no new clients are taken", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if state := p.end(t, os.Interrupt); !endedBySignal(state) {
		t.Errorf("ended with %v, want the signal", state)
	}
	if err := <-updated; err == nil {
		t.Error("the write was answered: the second signal was not what ended the program")
	}
}
