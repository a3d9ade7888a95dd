package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
)

// asProgram makes the test binary behave as pghub itself: the tests run the real program in processes of its own.
const asProgram = "PGHUB_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(embedpgtest.Main(m))
}

// program is a pghub process without settings from this process's environment.
func program(ctx context.Context, t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "PGHUB_") && !strings.HasPrefix(name, "PG") && name != "GITHUB_TOKEN" {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, environ...)
	cmd.Env = append(cmd.Env, asProgram+"=1")
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestUnusableCommandLine: one line on standard error that names the setting, exit code 2, and nothing done.
func TestUnusableCommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		want    string
	}{
		{"unknown command", []string{"server"}, nil, `"server" is not a command`},
		{"unknown flag", []string{"serve", "--token=x"}, nil, "--token"},
		{"argument", []string{"serve", "owner/name"}, nil, `"owner/name"`},
		{"no token", []string{"serve"}, nil, "github-token: "},
		{"bad address", []string{"serve", "--listen=6433"}, []string{"GITHUB_TOKEN=t"}, "listen: "},
		{"bad environment", []string{"proxy"}, []string{"PGHUB_HTTP=nowhere"}, "PGHUB_HTTP"},
		{"bad interval", []string{"serve"}, []string{"GITHUB_TOKEN=t", "PGHUB_POLL_INTERVAL=often"}, "poll-interval: "},
		{"bad repository", []string{"serve", "--repo=name"}, []string{"GITHUB_TOKEN=t"}, "repo: "},
		{"bad database URL", []string{"migrate", "--database-url=postgres://u:s3cret@h:x/d"}, nil, "database-url: "},
		{"missing file", []string{"status", "--config=/does/not/exist"}, nil, "config: "},
		{"bad demo address", []string{"demo", "--github-listen=x"}, nil, "github-listen: "},
		{"bad number", []string{"simulate-github", "--repos=many"}, nil, "repos: "},
		{"address of the demo by environment is not a thing", []string{"demo", "--http=x"}, []string{"PGHUB_HTTP=127.0.0.1:0"}, "http: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			args := test.args
			if args[0] == "serve" || args[0] == "proxy" {
				args = append(args, "--data-dir="+dir)
			}
			cmd := program(testContext(t), t, test.environ, args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the exit code is looked at below
			if code := cmd.ProcessState.ExitCode(); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, test.want) || strings.Contains(text, "s3cret") {
				t.Errorf("standard error is %q, want one line with %q", text, test.want)
			}
			if stdout.Len() != 0 {
				t.Errorf("standard output is %q", stdout.String())
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the data directory was made")
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"serve", "demo", "proxy", "migrate", "status", "simulate-github", "version"}},
		{[]string{"serve", "--help"}, []string{"--listen", "PGHUB_LISTEN", "--repo", "--config", "127.0.0.1:6433"}},
		{[]string{"demo", "--help"}, []string{"--listen", "--http", "--github-listen", "--data-dir"}},
		{[]string{"version"}, []string{"pghub "}},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), append([]string{}, test.args...), nil, &stdout, &stderr); code != exitOK {
			t.Errorf("%v: exit code %d: %s", test.args, code, stderr.String())
		}
		for _, part := range test.want {
			if !strings.Contains(stdout.String(), part) {
				t.Errorf("%v lacks %q:\n%s", test.args, part, stdout.String())
			}
		}
	}
}
