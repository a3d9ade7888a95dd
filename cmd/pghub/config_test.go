package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func load(t *testing.T, settings []setting, args, environ []string) (config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(flags, settings)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, settings, environ)
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pghub.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(t, serveSettings, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Listen: "127.0.0.1:6433", HTTP: "127.0.0.1:8080", GitHubURL: "https://api.github.com/",
		PollInterval: time.Minute, WriteInterval: time.Second, WebhookRetention: 14 * 24 * time.Hour,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestConfigSources gives every setting in each of the three ways, and sees that the flag wins over the environment and the
// environment over the file.
func TestConfigSources(t *testing.T) {
	t.Parallel()
	text := func(n int) []string { // values for source n, in the order of serveSettings
		d := string(rune('0' + n))
		return []string{
			"127.0.0." + d + ":1", "127.0.0." + d + ":2", "postgres://u:p@h" + d + "/db", "/data/" + d, "https://github" + d + ".example/api/v3/",
			"token" + d, "owner/repo" + d, d + "m", d + "ms", "it's secret " + d, d + "h",
		}
	}
	want := func(n int) config {
		v := text(n)
		return config{Listen: v[0], HTTP: v[1], DatabaseURL: v[2], DataDir: v[3], GitHubURL: v[4], GitHubToken: v[5], Repos: []string{v[6]},
			PollInterval: time.Duration(n) * time.Minute, WriteInterval: time.Duration(n) * time.Millisecond,
			WebhookSecret: v[9], WebhookRetention: time.Duration(n) * time.Hour}
	}
	var yaml strings.Builder
	var environ, args []string
	for i, s := range serveSettings {
		yaml.WriteString(s.name + ": " + text(1)[i] + "\n")
		environ = append(environ, s.env+"="+text(2)[i])
		args = append(args, "--"+s.name+"="+text(3)[i])
	}
	file := "--config=" + writeConfig(t, yaml.String())
	for _, test := range []struct {
		name          string
		args, environ []string
		want          config
	}{
		{"file", []string{file}, nil, want(1)},
		{"environment", nil, environ, want(2)},
		{"flags", args, nil, want(3)},
		{"environment over file", []string{file}, environ, want(2)},
		{"flags over file", append([]string{file}, args...), nil, want(3)},
		{"flags over all", append([]string{file}, args...), environ, want(3)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, serveSettings, test.args, test.environ)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestConfigForms(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name          string
		yaml          string
		args, environ []string
		check         func(config) any
		want          any
	}{
		{"repositories by commas", "", nil, []string{"PGHUB_REPOS=a/b, c/d,"}, func(c config) any { return c.Repos }, []string{"a/b", "c/d"}},
		{"repositories by repeated flags", "", []string{"--repo=a/b", "--repo=c/d"}, nil, func(c config) any { return c.Repos }, []string{"a/b", "c/d"}},
		{"repositories as a YAML list", "repo:\n- a/b\n- c/d\n", nil, nil, func(c config) any { return c.Repos }, []string{"a/b", "c/d"}},
		{"repositories as YAML text", "repo: a/b,c/d\n", nil, nil, func(c config) any { return c.Repos }, []string{"a/b", "c/d"}},
		{"no pause between writes", "write-interval: 0\n", nil, nil, func(c config) any { return c.WriteInterval }, time.Duration(0)},
		{"no HTTP", "", []string{"--http="}, nil, func(c config) any { return c.HTTP }, ""},
		{"an empty variable is not set", "", nil, []string{"PGHUB_LISTEN="}, func(c config) any { return c.Listen }, "127.0.0.1:6433"},
		{"an empty YAML value is not set", "listen:\n", nil, nil, func(c config) any { return c.Listen }, "127.0.0.1:6433"},
		{"home directory", "data-dir: ~/somewhere\n", nil, nil, func(c config) any { return c.DataDir }, filepath.Join(home, "somewhere")},
		{"all interfaces", "", []string{"--listen=:6433"}, nil, func(c config) any { return c.Listen }, ":6433"},
		{"key-value connection string", "", []string{"--database-url=host=/run/pg dbname=x"}, nil, func(c config) any { return c.DatabaseURL }, "host=/run/pg dbname=x"},
		{"no webhooks", "", nil, nil, func(c config) any { return c.WebhookSecret }, ""},
		{"secret flag over an empty variable", "", []string{"--webhook-secret=x y"}, []string{"PGHUB_WEBHOOK_SECRET="}, func(c config) any { return c.WebhookSecret }, "x y"},
		{"empty file", "", []string{}, nil, func(c config) any { return c.Listen }, "127.0.0.1:6433"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := append(test.args, "--config="+writeConfig(t, test.yaml))
			got, err := load(t, serveSettings, args, test.environ)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(test.check(got), test.want) {
				t.Errorf("got %#v, want %#v", test.check(got), test.want)
			}
		})
	}
}

// TestConfigErrors: each is one line, names the setting, and does not repeat what may be a secret.
func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		yaml          string
		args, environ []string
		want          []string
	}{
		{"no port", "", []string{"--listen=localhost"}, nil, []string{"listen: ", `"localhost"`, "--listen", "PGHUB_LISTEN"}},
		{"port too large", "", nil, []string{"PGHUB_HTTP=127.0.0.1:70000"}, []string{"http: ", "PGHUB_HTTP"}},
		{"no unit", "poll-interval: 60\n", nil, nil, []string{"poll-interval: ", `"60"`, "60s"}},
		{"too often", "", []string{"--poll-interval=1ms"}, nil, []string{"poll-interval: ", "1s"}},
		{"negative", "", []string{"--write-interval=-1s"}, nil, []string{"write-interval: "}},
		{"repository without owner", "", nil, []string{"PGHUB_REPOS=a/b,c"}, []string{"repo: ", `"c"`, "owner/name"}},
		{"database URL", "", []string{"--database-url=postgres://u:s3cret@h:port/db"}, nil, []string{"database-url: ", "PGHUB_DATABASE_URL"}},
		{"GitHub URL", "", []string{"--github-url=api.github.com"}, nil, []string{"github-url: "}},
		{"GitHub URL with a password", "", []string{"--github-url=https://u:s3cret@h/"}, nil, []string{"github-url: ", "github-token"}},
		{"token with a line break", "", nil, []string{"GITHUB_TOKEN=s3cret\nx"}, []string{"github-token: ", "GITHUB_TOKEN"}},
		{"unknown key", "repositories: [a/b]\n", nil, nil, []string{"config: ", `"repositories"`, "repo"}},
		{"nested key", "listen:\n  port: 1\n", nil, nil, []string{"config: ", "listen"}},
		{"list for a single value", "listen: [a, b]\n", nil, nil, []string{"config: ", "listen"}},
		{"number in a list", "repo: [1]\n", nil, nil, []string{"config: ", "repo"}},
		{"not YAML", "a: b: c\n", nil, nil, []string{"config: ", "YAML"}},
		{"missing file", "", []string{"--config=/does/not/exist.yaml"}, nil, []string{"config: ", "/does/not/exist.yaml"}},
		{"empty secret in the environment", "", nil, []string{"PGHUB_WEBHOOK_SECRET="}, []string{"webhook-secret: ", "empty", "PGHUB_WEBHOOK_SECRET"}},
		{"empty secret as a flag", "", []string{"--webhook-secret="}, nil, []string{"webhook-secret: ", "empty"}},
		{"empty secret flag over a good variable", "", []string{"--webhook-secret="}, []string{"PGHUB_WEBHOOK_SECRET=s3cret"}, []string{"webhook-secret: ", "empty"}},
		{"empty secret in YAML", "webhook-secret: ''\n", nil, nil, []string{"webhook-secret: ", "empty"}},
		{"secret without a value in YAML", "webhook-secret:\n", nil, nil, []string{"webhook-secret: ", "empty"}},
		{"blank secret", "", nil, []string{"PGHUB_WEBHOOK_SECRET= \t"}, []string{"webhook-secret: ", "empty"}},
		{"secret with a line break", "", nil, []string{"PGHUB_WEBHOOK_SECRET=s3cret\n"}, []string{"webhook-secret: ", "line break"}},
		{"retention", "", []string{"--webhook-retention=14"}, nil, []string{"webhook-retention: ", `"14"`}},
		{"data directory is a file", "data-dir: /dev/null\n", nil, nil, []string{"data-dir: ", "/dev/null"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := test.args
			if test.yaml != "" {
				args = append(args, "--config="+writeConfig(t, test.yaml))
			}
			_, err := load(t, serveSettings, args, test.environ)
			var bad *configError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a configError", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q has several lines", err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q holds a secret", err)
			}
		})
	}
}

// TestConfigFileOfAnotherCommand: one file serves all commands.
func TestConfigFileOfAnotherCommand(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, "listen: 127.0.0.1:1\ndata-dir: /data/x\n")
	got, err := load(t, databaseSettings, []string{"--config=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (config{DataDir: "/data/x"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSimulatorNumbers(t *testing.T) {
	t.Parallel()
	settings := []setting{settingSeed, settingRepos, settingIssues}
	got, err := load(t, settings, []string{"--seed=9223372036854775807", "--repos=2", "--issues=50"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seed != 9223372036854775807 || got.SimRepos != 2 || got.SimIssues != 50 {
		t.Errorf("got %+v", got)
	}
	for _, arg := range []string{"--seed=x", "--repos=-1", "--issues=4294967296"} {
		if _, err := load(t, settings, []string{arg}, nil); err == nil {
			t.Errorf("%s is accepted", arg)
		}
	}
}
