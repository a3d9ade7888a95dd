package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// openTempDir is a directory that the user who runs the embedded server may enter, too.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pghub-cmd-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func getJSON(t *testing.T, url, token string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return resp.StatusCode
}

// TestDemo runs what a new user runs, from the first line to Ctrl-C.
func TestDemo(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	temp := openTempDir(t)
	// Settings of the user's own must not reach the demo.
	environ := []string{"TMPDIR=" + temp, "GITHUB_TOKEN=must-not-be-used", "PGHUB_DATABASE_URL=postgres://nowhere.invalid/x", "PGHUB_LISTEN=nonsense"}
	p := startProcess(ctx, t, environ, "demo", "--listen=127.0.0.1:0", "--http=127.0.0.1:0", "--github-listen=127.0.0.1:0")
	github := regexp.MustCompile(`^(http://\S+/) \(token (\S+)\)$`).FindStringSubmatch(p.await(ctx, t, "simulated GitHub: "))
	if github == nil {
		t.Fatal("the first line does not tell where the simulated GitHub is")
	}
	web := "http://" + p.await(ctx, t, "http: listening on ")
	url := p.await(ctx, t, "ready: ")
	if !regexp.MustCompile(`^postgres://app:[A-Z2-7]+@127\.0\.0\.1:[1-9][0-9]*/pghub$`).MatchString(url) {
		t.Errorf("ready: %s", url)
	}
	if dirs, _ := filepath.Glob(filepath.Join(temp, "pghub-demo-*")); len(dirs) != 1 {
		t.Errorf("data directories: %v", dirs)
	}

	var health, ready struct{ Status string }
	if code := getJSON(t, web+"/healthz", "", &health); code != 200 || health.Status != "ok" {
		t.Errorf("/healthz: %d %q", code, health.Status)
	}
	if code := getJSON(t, web+"/readyz", "", &ready); code != 200 || ready.Status != "ok" {
		t.Errorf("/readyz: %d %q", code, ready.Status)
	}

	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var repositories, issues, comments, strangers int
	if err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM repository), (SELECT count(*) FROM issue), (SELECT count(*) FROM issue_comment),
		(SELECT count(*) FROM issue i LEFT JOIN repository r ON r.id = i.repository_id WHERE r.id IS NULL)`).Scan(&repositories, &issues, &comments, &strangers); err != nil {
		t.Fatal(err)
	}
	if repositories != demoRepos || issues < demoIssues*9/10 || comments == 0 || strangers != 0 {
		t.Errorf("%d repositories, %d issues, %d comments, %d issues without repository", repositories, issues, comments, strangers)
	}

	// The two statements that the demo prints, as they stand there.
	text := p.await(ctx, t, "and there, for example")
	var statements []string
	for range 2 {
		var lines []string
		for {
			line := strings.TrimSpace(p.await(ctx, t, ""))
			if line != "" {
				lines = append(lines, line)
			}
			if strings.HasSuffix(line, ";") {
				break
			}
		}
		statements = append(statements, strings.Join(lines, " "))
	}
	if !strings.HasPrefix(statements[0], "INSERT INTO issue") || !strings.HasPrefix(statements[1], "UPDATE issue") {
		t.Fatalf("the printed statements are %q (after %q)", statements, text)
	}
	var id, number int64
	var htmlURL string
	if err := conn.QueryRow(ctx, statements[0]).Scan(&id, &number, &htmlURL); err != nil {
		t.Fatalf("%s: %v", statements[0], err)
	}
	var fullName string
	if err := conn.QueryRow(ctx, "SELECT full_name FROM repository r JOIN issue i ON i.repository_id = r.id WHERE i.id = $1", id).Scan(&fullName); err != nil {
		t.Fatal(err)
	}
	onGitHub := func(number int64) (title, state string) {
		var issue struct{ Title, State string }
		if code := getJSON(t, fmt.Sprintf("%srepos/%s/issues/%d", github[1], fullName, number), github[2], &issue); code != 200 {
			t.Errorf("issue %d on GitHub: status %d", number, code)
		}
		return issue.Title, issue.State
	}
	if title, state := onGitHub(number); title != "It works" || state != "open" {
		t.Errorf("GitHub has %q, %s", title, state)
	}
	var closed int64
	rows, err := conn.Query(ctx, statements[1])
	if err != nil {
		t.Fatalf("%s: %v", statements[1], err)
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		number, ok := values[0].(int64)
		if !ok {
			if n, small := values[0].(int32); small {
				number = int64(n)
			}
		}
		closed = number
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", statements[1], err)
	}
	if _, state := onGitHub(closed); state != "closed" {
		t.Errorf("issue %d is %s on GitHub", closed, state)
	}

	// A title that GitHub refuses changes nothing.
	_, err = conn.Exec(ctx, "UPDATE issue SET title = $1 WHERE id = $2", strings.Repeat("x", 300), id)
	if refused, ok := err.(*pgconn.PgError); !ok || refused.Code != "23514" {
		t.Errorf("a title of 300 characters gives %v, want SQLSTATE 23514", err)
	}
	if title, _ := onGitHub(number); title != "It works" {
		t.Errorf("GitHub has title %q after a refused update", title)
	}
	psqlDeletes(t, url, id)
	eventually(ctx, t, "the simulated GitHub delivers its webhooks", func() bool {
		var sent []struct {
			Event, Action string
			Status        int
		}
		if code := getJSON(t, github[1]+"_sim/deliveries", "", &sent); code != 200 {
			t.Fatalf("deliveries: status %d", code)
		}
		accepted := 0
		for _, d := range sent {
			if d.Status == http.StatusAccepted {
				accepted++
			}
		}
		return len(sent) >= 3 && accepted == len(sent) // opened, closed, deleted at least
	})

	state := p.end(t, syscall.SIGINT)
	if state.ExitCode() != exitOK {
		t.Errorf("ended with %v", state)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{fmt.Sprintf("127.0.0.1:%d", config.Port), strings.TrimPrefix(web, "http://")} {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			t.Errorf("%s is still open", address)
		}
	}
	if strings.Contains(p.stderr.String(), config.Password) {
		t.Error("the password is in the log")
	}
}

// psqlDeletes deletes an issue with psql where there is one.
func psqlDeletes(t *testing.T, url string, id int64) {
	t.Helper()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Log("no psql here")
		return
	}
	out, err := exec.CommandContext(testContext(t), psql, "-X", "-At", url, "-c", fmt.Sprintf("DELETE FROM issue WHERE id = %d RETURNING id", id)).CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	if want := fmt.Sprintf("%d\nDELETE 1\n", id); string(out) != want {
		t.Errorf("psql prints %q, want %q", out, want)
	}
}

// TestDemoInterrupted: Ctrl-C before it is ready leaves nothing behind either.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	temp := openTempDir(t)
	p := startProcess(ctx, t, []string{"TMPDIR=" + temp}, "demo", "--listen=127.0.0.1:0", "--http=127.0.0.1:0", "--github-listen=127.0.0.1:0")
	p.await(ctx, t, "starting PostgreSQL")
	if state := p.end(t, os.Interrupt); state.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v, want exit code %d", state, exitInterrupted)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemoPortInUse(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	temp := openTempDir(t)
	p := startProcess(ctx, t, []string{"TMPDIR=" + temp}, "demo", "--listen="+l.Addr().String(), "--http=127.0.0.1:0", "--github-listen=127.0.0.1:0")
	if state := p.wait(t); state.ExitCode() != exitFailed {
		t.Errorf("ended with %v", state)
	}
	if text := p.stderr.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, l.Addr().String()) {
		t.Errorf("standard error is %q, want one line with the address", text)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
