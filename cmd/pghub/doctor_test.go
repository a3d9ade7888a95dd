package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
	"github.com/pghub/pghub/schema"
)

// TestDoctor runs the real program against a database and a simulated GitHub.
func TestDoctor(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	url := embedpgtest.URL(t)
	if err := schema.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	sim := githubsimtest.Start(t, githubsim.Config{Seed: 1})
	if _, err := sim.CreateRepository("octavia/scratch", false); err != nil {
		t.Fatal(err)
	}
	reach := []string{"PGHUB_GITHUB_URL=" + sim.URL, "GITHUB_TOKEN=" + sim.Token()}
	for _, tt := range []struct {
		name    string
		args    []string
		environ []string
		code    int
		want    []string
	}{
		{"sound", []string{"doctor", "--repo", "octavia/scratch"}, append(reach, "PGHUB_DATABASE_URL="+url), exitOK,
			[]string{"ok    server: PostgreSQL", "ok    migrations:", "ok    triggers:", "ok    token:", "ok    clock:", "ok    octavia/scratch:"}},
		{"no database yet, repository out of sight", []string{"doctor", "--repo", "octavia/none", "--data-dir", filepath.Join(t.TempDir(), "data")}, reach, exitFailed,
			[]string{"warn  database: there is none", "fix: pghub serve makes it", "fail  octavia/none: GitHub does not show it", "pghub: doctor: 1 of"}},
		{"no token", []string{"doctor"}, []string{"PGHUB_DATABASE_URL=" + url}, exitFailed, []string{"fail  token: there is none", "GITHUB_TOKEN"}},
		{"live test", []string{"doctor", "--live-test", "--yes", "--repo", "octavia/scratch", "--write-interval", "0"}, reach, exitOK,
			[]string{"ok    create:", "ok    lock:", "ok    comment:", "ok    validation:", "ok    paging:", "ok    etag:", "ok    delete:", "ok    clean up:"}},
		{"live test without a terminal", []string{"doctor", "--live-test", "--repo", "octavia/scratch"}, reach, exitUsage, []string{"add --yes"}},
		{"live test of what the environment names", []string{"doctor", "--live-test", "--yes"}, append(reach, "PGHUB_REPOS=octavia/scratch"), exitUsage,
			[]string{"name exactly one scratch repository"}},
		{"live test without a token", []string{"doctor", "--live-test", "--yes", "--repo", "octavia/scratch"}, nil, exitUsage, []string{"github-token"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := program(ctx, t, tt.environ, tt.args...)
			out, _ := cmd.CombinedOutput() // the exit code tells
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if strings.Contains(string(out), sim.Token()) {
				t.Error("the token is printed")
			}
		})
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "y": true, "\n": false, "": false, "n\n": false, "yep\n": false} {
		var out strings.Builder
		got, err := confirm(testContext(t), strings.NewReader(answer), &out, "Go on?")
		if err != nil || got != want || out.String() != "Go on? [y/N] " {
			t.Errorf("answer %q: %v %v, printed %q", answer, got, err, out.String())
		}
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	silent, _ := io.Pipe()
	if agreed, err := confirm(ctx, silent, io.Discard, "Go on?"); agreed || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v %v", agreed, err)
	}
	silent.Close()
}
